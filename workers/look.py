"""The part of the input gate that needs pixels: the mind looks, the hospital's side judges what was seen."""

from node.dicom.input_gate import find_contradiction
from node.dicom.kind import read_kind
from node.dicom.stack import Stack
from pipelines.steps.body_region import find_region
from pipelines.terms import Requires, Volume


def check_pixels(stack: Stack, volume: Volume, requires: Requires) -> None:
    """Raises WrongBodyPart when the voxels of `stack` surely show another region than the pipeline reads. What they are
    unsure of, and what a pipeline without `body_parts` reads, is let through unseen."""
    if not requires.body_parts or volume.modality != "CT":
        return
    error = find_contradiction(read_kind(stack), find_region(volume), requires)
    if error is not None:
        raise error
