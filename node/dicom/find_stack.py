"""From the files of a study to the one stack that a pipeline reads."""

from collections.abc import Sequence
from pathlib import Path

from node.dicom.selection import choose_stack
from node.dicom.single import read_singles
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from pipelines.terms import Manifest


def find_stack(paths: Sequence[Path], manifest: Manifest) -> tuple[Stack, tuple[str, ...]]:
    """The stack for the pipeline of `manifest`, and sentences on the choice: see choose_stack, which raises InputError.

    A pipeline that reads single planes is given one where nothing makes a stack. Raises CannotUnderstand when a file is
    no DICOM dataset.
    """
    requires = manifest.requires
    stacks, refusals = read_stacks(
        paths, max_tilt_degrees=requires.max_tilt_degrees, max_uneven_mm=requires.max_uneven_mm
    )
    if not stacks and requires.min_planes == 1:
        stacks = read_singles(paths)
    return choose_stack(stacks, refusals, requires, manifest.manufacturer)
