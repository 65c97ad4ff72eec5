"""Why the algorithm did not run, as a coded concept of our own beside the sentence: machines count these."""

from node import errors
from pipelines.terms import Code

SCHEME = "99WETREAD"

REASONS: dict[str, Code] = {
    kind.__name__: Code(value, SCHEME, meaning)
    for kind, value, meaning in (
        (errors.NoMatchingSeries, "R100", "No series of the study is what the algorithm reads"),
        (errors.NotAcquired, "R101", "Localizer, projection, reformation or capture"),
        (errors.AlreadyProcessed, "R102", "Already processed, or annotations burned in"),
        (errors.QualityControl, "R103", "Phantom or quality control images"),
        (errors.WrongBodyPart, "R104", "Another part of the body"),
        (errors.WrongView, "R105", "Another orientation or view"),
        (errors.WrongSampling, "R106", "Resolution, extent or unit out of range"),
        (errors.WrongAge, "R107", "A younger patient than the algorithm is for"),
        (errors.TooFewSlices, "R110", "Too few slices"),
        (errors.MissingSlices, "R111", "Slices are missing"),
        (errors.UnevenGeometry, "R112", "Slices are not evenly spaced"),
        (errors.TiltedGantry, "R113", "Gantry tilt"),
        (errors.DuplicateSlices, "R114", "Different slices at one position"),
        (errors.MixedSeries, "R115", "The series makes no stack"),
        (errors.NoFrameOfReference, "R116", "No Frame of Reference UID"),
        (errors.PriorMissing, "R117", "No earlier study to compare with"),
        (errors.TruncatedInstance, "R120", "Pixel data is truncated"),
        (errors.UnreadablePixels, "R121", "Pixel data cannot be decoded"),
    )
}
"""By the name of the error. R1xx: of the images; R2xx: of the algorithm."""

UNSUITABLE = Code("R200", SCHEME, "The algorithm cannot answer for these images")


def find_reason(name: str) -> Code:
    """The code for the error called `name`; a pipeline's own refusal has one code for all its names."""
    return REASONS.get(name, UNSUITABLE)
