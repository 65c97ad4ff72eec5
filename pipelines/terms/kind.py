"""What kind of series images are: by what their header says, and by what their pixels show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Region(StrEnum):
    """A region of the body, as coarse as two sources can be expected to agree on."""

    HEAD = "head"
    NECK = "neck"
    CHEST = "chest"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    SPINE = "spine"
    ARM = "arm"
    LEG = "leg"


NEIGHBORS: dict[Region, frozenset[Region]] = {
    Region.HEAD: frozenset({Region.NECK, Region.SPINE, Region.ARM}),
    Region.NECK: frozenset({Region.HEAD, Region.CHEST, Region.SPINE, Region.ARM}),
    Region.CHEST: frozenset({Region.NECK, Region.ABDOMEN, Region.SPINE, Region.ARM}),
    Region.ABDOMEN: frozenset({Region.CHEST, Region.PELVIS, Region.SPINE, Region.ARM}),
    Region.PELVIS: frozenset({Region.ABDOMEN, Region.LEG, Region.SPINE, Region.ARM}),
    Region.SPINE: frozenset(Region) - {Region.LEG, Region.SPINE},
    Region.ARM: frozenset(Region) - {Region.LEG, Region.ARM},
    Region.LEG: frozenset({Region.PELVIS}),
}
"""What a scan of a region may show as well: arms lie beside the trunk or above the head."""


def may_agree(some: Iterable[Region], others: Iterable[Region]) -> bool:
    """True when a region of `some` is one of `others`, or beside it."""
    beyond = {near for region in others for near in (region, *NEIGHBORS[region])}
    return any(region in beyond for region in some)


class Role(StrEnum):
    """How images came to be."""

    ORIGINAL = "original"
    LOCALIZER = "localizer"
    DERIVED = "derived"


class Kernel(StrEnum):
    """How CT was reconstructed: smooth for soft tissue, or sharp for lung and bone."""

    SOFT = "soft"
    SHARP = "sharp"


class Weighting(StrEnum):
    """What makes contrast in MR."""

    T1 = "T1"
    T2 = "T2"
    T2_STAR = "T2*"
    PROTON_DENSITY = "proton density"
    FLAIR = "FLAIR"
    STIR = "STIR"
    DIFFUSION = "diffusion"


@dataclass(frozen=True, slots=True)
class Told:
    """What the header of a series says of it; None and empty where it says nothing.

    regions: by attributes that are there to name them. hinted: by the words of its description, which people fill.
    contrast: whether a contrast agent was given.
    sources: attribute of this class -> the DICOM keywords that told it; where it is None or empty, those that are there
        and did not, or contradict each other. Never what they hold.
    """

    modality: str
    regions: frozenset[Region] = frozenset()
    hinted: frozenset[Region] = frozenset()
    weighting: Weighting | None = None
    contrast: bool | None = None
    kernel: Kernel | None = None
    role: Role | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The regions that pixels show, none where they do not tell; sure: those of which most images show what no other
    region has."""

    regions: frozenset[Region] = frozenset()
    sure: frozenset[Region] = frozenset()
