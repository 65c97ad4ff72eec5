"""Which region of the body a series shows, from what its header says and what its pixels show."""

from dataclasses import dataclass
from enum import Enum, auto

from pipelines.terms import Note, Region, Sighting, Told, may_agree

NOTHING: frozenset[Region] = frozenset()


class Ground(Enum):
    """What decided."""

    PIXELS = auto()
    HEADER = auto()
    HEADER_AND_PIXELS = auto()
    WORDS = auto()
    WORDS_AND_PIXELS = auto()
    CONTRADICTION = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """regions: none where it would be a guess; note: on two sources that contradict each other."""

    regions: frozenset[Region]
    ground: Ground
    note: Note | None = None


def decide_region(told: Told, seen: Sighting) -> Decision:
    """The regions of a series, and why.

    1. Pixels that are sure, unless the header names what they cannot be.
    2. The attributes of the header that name a region, narrowed by pixels that are not sure where both agree in part.
    3. The words of a description: in CT only what pixels show too; elsewhere alone, for nothing looks at those pixels.
    """
    if seen.sure:
        if told.regions and not may_agree(seen.regions | seen.sure, told.regions):
            return Decision(NOTHING, Ground.CONTRADICTION, _contradict(told.regions, seen.sure))
        return Decision(seen.regions, Ground.PIXELS)
    if told.regions:
        both = told.regions & seen.regions
        return Decision(both, Ground.HEADER_AND_PIXELS) if both else Decision(told.regions, Ground.HEADER)
    found, ground = told.hinted, Ground.WORDS
    if told.modality == "CT":
        found, ground = told.hinted & seen.regions, Ground.WORDS_AND_PIXELS
    return Decision(found, ground if found else Ground.NOTHING)


def _contradict(told: frozenset[Region], seen: frozenset[Region]) -> Note:
    return Note(
        f"The header names {list_regions(told)}, the pixels show {list_regions(seen)}: the region is left open."
    )


def list_regions(regions: frozenset[Region]) -> str:
    """ "chest and neck"."""
    return " and ".join(sorted(regions))
