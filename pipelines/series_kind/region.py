"""Which region of the body a series shows, from what its header says and what its pixels show."""

from pipelines.terms import Note, Region, Sighting, Told, may_agree

NOTHING: frozenset[Region] = frozenset()


def decide_region(told: Told, seen: Sighting) -> tuple[frozenset[Region], Note | None]:
    """(regions, note): none where it would be a guess, and then a note where two sources contradict each other.

    1. Pixels that are sure, unless the header names what they cannot be.
    2. The attributes of the header that name a region, narrowed by pixels that are not sure where both agree in part.
    3. The words of a description: in CT only what pixels show too; elsewhere alone, for nothing looks at those pixels.
    """
    if seen.sure:
        if told.regions and not may_agree(seen.regions | seen.sure, told.regions):
            return NOTHING, _contradict(told.regions, seen.sure)
        return seen.regions, None
    if told.regions:
        return told.regions & seen.regions or told.regions, None
    if told.modality == "CT":
        return told.hinted & seen.regions, None
    return told.hinted, None


def _contradict(told: frozenset[Region], seen: frozenset[Region]) -> Note:
    said, shown = (" and ".join(sorted(regions)) for regions in (told, seen))
    return Note(f"The header names {said}, the pixels show {shown}: the region is left open.")
