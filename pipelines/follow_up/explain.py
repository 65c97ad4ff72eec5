"""How steady a comparison is: the studies are registered once more in the other direction, and where the two directions
do not undo each other, what is said of a lesion there is not to be believed unseen."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import MissingInputs, NoOverlap, NotConverged
from pipelines.explanation.quantity import MILLIMETER, QUANTITIES, name_map
from pipelines.registration.consistency import NOTHING, draw_inverse_errors
from pipelines.registration.deformable import refine
from pipelines.registration.rigid import find_motion
from pipelines.terms import Code, Finding, Measurement, Note, Registration, Result, Segment, Severity, Volume

WAY = "consistency"
MEAN = Code("373098007", "SCT", "Mean")
BOTH_WAYS = Code("BOTHWAYS", "99WETREAD", "Registration in both directions")
Tell = Callable[[float], None]


def explain_comparison(volume: Volume, earlier: Volume, result: Result, tell: Tell) -> Result:
    """`result`, the comparison of `volume` with `earlier`, with the map of inverse consistency errors, their mean in
    each lesion of this study that the earlier one shows, and sentences. `tell` is told the share done.

    Raises MissingInputs when `earlier` is not the study that was compared, NotConverged when the other direction finds
    no field where the comparison has one, NoOverlap when nothing of the patient is in both.
    """
    there = result.registrations[0]
    if earlier.frame_of_reference_uid != there.frame_of_reference_uid:
        raise MissingInputs("the study that was compared is no longer there")
    back = lay_back(volume, earlier, bent=there.field is not None)
    tell(0.6)
    values = draw_inverse_errors(volume, earlier, there, back, lambda share: tell(0.6 + 0.4 * share))
    if not (values != NOTHING).any():
        raise NoOverlap("nothing of the patient is in both studies")
    segments = {segment.key: segment for segment in result.segments}
    findings, doubts = [], []
    for finding in result.findings:
        segment = segments.get(finding.segment_key or "")
        error = _find_error(segment, values) if segment is not None else None
        findings.append(_add(finding, error) if error is not None else finding)
        doubts += _doubt(segment, error, volume) if segment is not None and error is not None else []
    notes = (*result.notes, Note(state_errors(values, bent=there.field is not None), Severity.INFO), *doubts)
    maps = (*result.maps, name_map(WAY, values, NOTHING))
    return replace(result, findings=tuple(findings), notes=notes, maps=maps)


def lay_back(volume: Volume, earlier: Volume, bent: bool) -> Registration:
    """`volume` laid on `earlier`: found anew, not by turning round the registration that it is to be held against.
    bent: with a field; raises NotConverged when there is none that can be used."""
    try:
        matrix = find_motion(earlier, volume)
        field = refine(earlier, volume, matrix).field if bent else None
    except RuntimeError as error:  # ITK's word for all that it cannot do; the answer is there already
        raise NotConverged("in the other direction the registration came to no end") from error
    if bent and field is None:
        raise NotConverged(
            "in the other direction the field would fold or improve nothing, so the two directions cannot be compared:"
            " take each match for uncertain"
        )
    return Registration("back", volume.frame_of_reference_uid, "this study", matrix, field)


def state_errors(values: NDArray[np.float32], bent: bool) -> str:
    """What the errors of a map (mm, NOTHING where there is none) are and what they do not say, in sentences."""
    known = values[values != NOTHING]
    how = "" if bent else ", by rigid motions alone"
    return (
        f"Inverse consistency: laid on the earlier study and back again{how}, a place in the patient misses itself by"
        f" {known.mean(dtype=np.float64):.1f} mm on average, 95 % of places by less than"
        f" {np.percentile(known, 95):.1f} mm. Where the error is large the match is not to be believed. Where it is"
        " small the match may still be wrong: both directions can err alike. Around the patient, and where the earlier"
        " study shows nothing, the map has no value."
    )


def _find_error(segment: Segment, values: NDArray[np.float32]) -> float | None:
    """The mean error within `segment`, mm; None where of less than half of it anything is known."""
    within = values[segment.mask]
    known = within[within != NOTHING]
    return float(known.mean(dtype=np.float64)) if 2 * known.size >= within.size > 0 else None


def _add(finding: Finding, error: float) -> Finding:
    added = Measurement(QUANTITIES[WAY].code, round(error, 2), MILLIMETER, MEAN, BOTH_WAYS)
    return replace(finding, measurements=(*finding.measurements, added))


def _doubt(segment: Segment, error: float, volume: Volume) -> list[Note]:
    """A warning where the place of a lesion is less sure than the lesion is large."""
    ml = float(np.count_nonzero(segment.mask)) * volume.voxel_ml
    radius = (3000.0 * ml / (4.0 * np.pi)) ** (1 / 3)
    if error <= radius:
        return []
    return [
        Note(
            f"{segment.label}: the two directions of registration miss each other by {error:.1f} mm there, more than"
            f" the radius of a ball of its volume ({radius:.1f} mm): what is said of its change is not to be believed"
            " unseen."
        )
    ]
