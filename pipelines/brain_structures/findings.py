"""What is said of the structures: a segment and a finding for each on either side, with its volume; and notes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.brain_structures.plausible import find_odd
from pipelines.brain_structures.sides import LEFT, Labels
from pipelines.brain_structures.structures import STRUCTURES, Structure
from pipelines.terms import Code, Finding, LabelMask, Measurement, Note, Result, Segment, Severity, Volume

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")
RIGHT_SIDE, LEFT_SIDE = Code("24028007", "SCT", "Right"), Code("7771000", "SCT", "Left")

THIN_MM = 1.6
"""Where voxels are longer, structures of a few mm are known from few of them."""
LIMITS = Note(
    "Outlines follow FreeSurfer's definitions at 1 mm. Least reliable: inferior horns, nuclei accumbentes, amygdalae,"
    " globi pallidi and ventral diencephalon, where neighbors look alike.",
    Severity.INFO,
)
ASYMMETRY = 3.0
"""One side this many times as large as the other is worth a look."""


@dataclass(frozen=True, slots=True)
class Part:
    """A structure on one side. value: its number in the labels."""

    structure: Structure
    value: int
    side: Code | None

    @property
    def key(self) -> str:
        return f"{self.side.meaning.lower()}-{self.structure.key}" if self.side else self.structure.key

    @property
    def name(self) -> str:
        """ "Left cerebellar cortex", "Brain Stem"."""
        meaning = self.structure.code.meaning
        return f"{self.side.meaning} {meaning.lower()}" if self.side else meaning


def list_parts() -> Iterator[Part]:
    """All 31: 14 on the right and on the left, 3 in the middle."""
    for structure in STRUCTURES:
        if structure.paired:
            yield Part(structure, structure.label, RIGHT_SIDE)
            yield Part(structure, structure.label + LEFT, LEFT_SIDE)
        else:
            yield Part(structure, structure.label, None)


def make_result(labels: Labels, volume: Volume, cut: tuple[str, ...], seconds: Mapping[str, float]) -> Result:
    """The result for `labels`, uint8 on the grid of `volume`, kept and shared by the segments."""
    sizes = np.bincount(labels.ravel(), minlength=256).astype(np.float64) * volume.voxel_ml
    parts = list(list_parts())
    present = [part for part in parts if sizes[part.value] > 0]
    missing = tuple(part.name for part in parts if sizes[part.value] == 0)
    return Result(
        segments=tuple(_make_segment(part, labels) for part in present),
        findings=tuple(_make_finding(part, float(sizes[part.value])) for part in present),
        notes=(*_make_notes(volume, sizes, cut, missing), LIMITS),
        seconds=seconds,
    )


def _make_segment(part: Part, labels: Labels) -> Segment:
    return Segment(
        part.key,
        part.name,
        ANATOMY,
        part.structure.code,
        LabelMask(labels, part.value),
        laterality=part.side,
        color=part.structure.color,
    )


def _make_finding(part: Part, milliliters: float) -> Finding:
    size = Measurement(VOLUME, round(milliliters, 2), MILLILITER)
    return Finding(
        part.key, part.structure.code, laterality=part.side, segment_key=part.key, measurements=(size,)
    )  # fmt: skip


def _make_notes(
    volume: Volume, sizes: NDArray[np.float64], cut: tuple[str, ...], missing: tuple[str, ...]
) -> Iterator[Note]:
    if cut:
        yield Note(f"The images end in brain ({', '.join(cut)}): volumes are lower bounds, outlines there uncertain.")
    if missing:
        yield Note(f"Not found, and so not measured: {', '.join(missing)}.")
    both = sizes[: LEFT + len(STRUCTURES) + 1].copy()
    both[: len(STRUCTURES) + 1] += both[LEFT:]
    if odd := find_odd(both):
        yield Note(f"Volume unusual in adults, review the outline: {', '.join(odd)}.")
    if uneven := _find_uneven(sizes):
        yield Note(f"Right and left differ by more than {ASYMMETRY:g} times, review the outline: {', '.join(uneven)}.")
    longest = max(volume.spacing)
    if longest > THIN_MM:
        yield Note(f"Voxels are {longest:.1f} mm long: volumes of small structures are uncertain.")


def _find_uneven(sizes: NDArray[np.float64]) -> list[str]:
    """Names of the paired structures that are much larger on one side; one that is missing there was named before."""
    found = []
    for structure in STRUCTURES:
        small, large = sorted((sizes[structure.label], sizes[structure.label + LEFT]))
        if structure.paired and small > 0 and large > ASYMMETRY * small:
            found.append(structure.code.meaning)
    return found
