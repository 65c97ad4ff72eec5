"""What a pipeline found, in terms that are neither tensors nor DICOM."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.terms.code import Code
from pipelines.terms.label_mask import LabelMask, Mask
from pipelines.terms.region import LESION, Axes, Box
from pipelines.terms.registration import Registration


@dataclass(frozen=True, slots=True)
class Tracking:
    """How something is followed through reports: an identifier for people, at most 64 characters, and its uid."""

    identifier: str
    uid: str


class _MaskField:
    """How `Segment.mask` is kept: an array as it is; a share of a label volume as that, made an array when read."""

    def __get__(self, segment: "Segment | None", owner: type | None = None) -> Mask:
        if segment is None:
            raise AttributeError("mask")  # tells dataclass that the field has no default
        held: Mask | LabelMask = segment.__dict__["mask"]
        return held.to_array() if isinstance(held, LabelMask) else held

    def __set__(self, segment: "Segment", value: Mask | LabelMask) -> None:
        segment.__dict__["mask"] = value


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of the volume with a name.

    key: short name, unique in the result and stable over reruns, e.g. "right-lung": tracking
        identifiers and uids derive from it.
    label: Segment Label, for people.
    category, kind: Segmented Property Category and Type (PS3.16 CID 7150, 7151).
    mask: bool, shape (k, j, i) of the source volume. Give a LabelMask where many segments share one label volume: it
        is then made an array at each reading, so that a hundred classes do not cost a hundred volumes.
    site: anatomic region, when kind is not itself the anatomy.
    laterality: CID 244 code, when kind or site is one of a pair.
    color: sRGB 0-255, recommended for display.
    tracking: as an earlier report follows it; None for what is followed from now on.
    """

    key: str
    label: str
    category: Code
    kind: Code
    mask: _MaskField = _MaskField()
    site: Code | None = None
    laterality: Code | None = None
    color: tuple[int, int, int] = (230, 120, 60)
    tracking: Tracking | None = None

    @property
    def is_lesion(self) -> bool:
        """True when its category says that it is no part of a sound body."""
        return (self.category.value, self.category.scheme) == LESION

    @property
    def label_mask(self) -> LabelMask | None:
        """The share of a label volume that the mask is; None where the mask is an array of its own."""
        held = self.__dict__["mask"]
        return held if isinstance(held, LabelMask) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the mask, without making it."""
        shared = self.label_mask
        shape: tuple[int, ...] = shared.labels.shape if shared is not None else self.mask.shape
        return shape

    @property
    def is_empty(self) -> bool:
        """True when the mask has no voxel; makes no array of a LabelMask."""
        shared = self.label_mask
        return shared.is_empty if shared is not None else not bool(self.mask.any())


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with a concept and a UCUM unit; `derivation` (e.g. Mean) and `method` refine the concept."""

    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    method: Code | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation: a thing at a place with its numbers.

    key: the Segment's key where the finding speaks of a segment; else its own stable short name.
    concept: what was observed (SR Finding).
    absent: True says that it was looked for and is not there.
    qualifiers: pairs (concept, value) of coded evaluations.
    box: where it is, when there is no segment of it. axes: its diameters in one plane (pipelines.steps.axes).
    tracking: as an earlier report follows it, where there is no segment of it; else it is its segment's.
    """

    key: str
    concept: Code
    site: Code | None = None
    laterality: Code | None = None
    segment_key: str | None = None
    measurements: tuple[Measurement, ...] = ()
    qualifiers: tuple[tuple[Code, Code], ...] = ()
    absent: bool = False
    box: Box | None = None
    axes: Axes | None = None
    tracking: Tracking | None = None


class Severity(StrEnum):
    """How much a note weighs for the reader."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about the quality or the limits of this very result, e.g. "The lungs are cut at the top"."""

    text: str
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True, eq=False)
class ScalarMap:
    """A number for every voxel: a probability, an explanation of an answer, a physical quantity.

    key: short name, unique among the maps of the result, e.g. "right-lung-probability".
    label: for people.
    values: float32, finite, shape (k, j, i) of the source volume.
    quantity: what the numbers are; unit: their UCUM unit, (1, UCUM, no units) for a probability.
    nothing: the number that stands where there is no value, below all that are; None where every voxel has one.
    """

    key: str
    label: str
    values: NDArray[np.float32]
    quantity: Code
    unit: Code
    nothing: float | None = None

    @property
    def absent(self) -> Mask | None:
        """Where there is no value, bool (k, j, i); None where every voxel has one."""
        return None if self.nothing is None else self.values == np.float32(self.nothing)

    def find_range(self) -> tuple[float, float]:
        """Lowest and highest value, NaN where one is; +inf and -inf where there is none at all."""
        if (absent := self.absent) is None:
            return float(self.values.min()), float(self.values.max())
        known = ~absent
        lowest = self.values.min(where=known, initial=np.inf)
        return float(lowest), float(self.values.max(where=known, initial=-np.inf))


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Result:
    """All that one run of a pipeline says. A result without segments still has findings that say `absent`."""

    segments: tuple[Segment, ...]
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    maps: tuple[ScalarMap, ...] = ()
    registrations: tuple[Registration, ...] = ()

    def __post_init__(self) -> None:
        if not self.findings:
            raise ValueError("a result without a finding says nothing: add one with absent=True")
        keys = [segment.key for segment in self.segments]
        maps, motions = ([one.key for one in several] for several in (self.maps, self.registrations))
        for name, names in (("segment", keys), ("map", maps), ("registration", motions)):
            if len(set(names)) != len(names):
                raise ValueError(f"{name} keys repeat: {names}")
        for finding in self.findings:
            if finding.segment_key is not None and finding.segment_key not in keys:
                raise ValueError(f"finding {finding.key!r} refers to no segment here: {finding.segment_key!r}")

    @property
    def is_positive(self) -> bool:
        """True when at least one finding is not `absent`."""
        return any(not finding.absent for finding in self.findings)
