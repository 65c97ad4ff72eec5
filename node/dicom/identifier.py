"""What an answer shows of a dataset: the attributes that were asked for, and no other (PS3.4 C.4.1.1.3.2).

In:  a C-FIND identifier or a list of tags, and the whole dataset.   Out: a Dataset.
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence as DicomSequence

CHARACTER_SET = 0x00080005
ALWAYS = (CHARACTER_SET, 0x00080016, 0x00080018)
"""Character set, SOP class and SOP instance go with every answer."""


def pick(identifier: Dataset, found: Dataset) -> Dataset:
    """Each attribute of `identifier` as `found` has it, empty where it has none; of a sequence whose item asks for
    something, that of each of its items."""
    shown = Dataset()
    for tag in ALWAYS:
        if tag in found:
            shown[tag] = found[tag]
    for key in identifier:
        if key.tag != CHARACTER_SET:
            shown[key.tag] = _pick_one(key, found)
    return shown


def select_tags(found: Dataset, tags: Sequence[int]) -> tuple[Dataset, bool]:
    """(the attributes `tags` of `found`, all of them where `tags` is empty; whether one is not there)."""
    if not tags:
        return found, False
    shown = Dataset()
    for tag in {CHARACTER_SET, *tags}:
        if tag in found:
            shown[tag] = found[tag]
    return shown, any(tag not in found for tag in tags)


def _pick_one(key: DataElement, found: Dataset) -> DataElement:
    if key.tag not in found:
        return DataElement(key.tag, key.VR, DicomSequence() if key.VR == "SQ" else None)
    element = found[key.tag]
    asked = key.value[0] if key.VR == "SQ" and element.VR == "SQ" and key.value else None
    if not asked:
        return element
    items = []
    for item in element.value:
        shown = Dataset()
        for inner in asked:
            shown[inner.tag] = _pick_one(inner, item)
        items.append(shown)
    return DataElement(key.tag, "SQ", DicomSequence(items))
