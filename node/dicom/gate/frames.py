"""The per-frame functional groups of a derived image (PS3.3 C.7.6.16) against the tables.

There may be tens of thousands. Most come as bytes (node.dicom.frame_groups), where what groups share is the same bytes:
it is parsed and looked at the first time it is met. From frame to frame the numbers of Frame Content differ, and from
plane to plane the source frame and its position: where all else is as it was before, these alone are looked at.
Groups that are objects are looked at one by one.
"""

import struct
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from node.dicom.explicit_vr import ITEM, NotPlain, walk_elements, walk_items
from node.dicom.gate.attributes import FRAMES, AttributeFault, Walk
from node.dicom.gate.iod_tables import Rule, Table, get_iod
from node.dicom.walk import LONG_VRS

CONTENT = Tag("FrameContentSequence").real
SEQUENCE_HEAD = 12
HEAD = struct.Struct("<HH4sI4sIHH2sH")
"""What stands before the values where Frame Content holds Dimension Index Values alone: sequence, item, element."""

VARIED = {0x00081155, 0x00081160, 0x00200032}
"""Referenced SOP Instance UID, Referenced Frame Number, Image Position (Patient): no condition hangs on what they
are."""

Form = list[tuple[int, int, int]]
Values = list[tuple[tuple[int, ...], bytes, bytes]]
"""Of elements: the tags of the sequences above it and its own, its VR, its value."""


@dataclass(slots=True, eq=False)
class _Groups:
    """What was looked at so far. known: the bytes of elements. forms: length of a group -> the forms that groups of it
    had: tag, start and end of each element. kinds: the tags of these alone. frames: what was left of sequences without
    the values of VARIED."""

    walk: Walk
    table: Table
    known: set[bytes] = field(default_factory=set)
    forms: dict[int, list[Form]] = field(default_factory=dict)
    kinds: set[tuple[int, ...]] = field(default_factory=set)
    frames: set[Hashable] = field(default_factory=set)

    def check(self, group: bytes | Dataset) -> None:
        """Raise AttributeFault for a fault in a group, NotPlain when its bytes are not what is read here."""
        if isinstance(group, Dataset):
            _check_content(self.walk.check_item(group, self.table))
        elif not any(self._is_known(group, form) for form in self.forms.get(len(group), ())):
            self._check_new(group)

    def _is_known(self, group: bytes, form: Form) -> bool:
        return all(
            _is_content(group, start, end) if tag == CONTENT else group[start:end] in self.known
            for tag, start, end in form
        )

    def _check_new(self, group: bytes) -> None:
        """Of a kind not met before all is looked at, else what is new."""
        form = _find_form(group)
        kind = tuple(tag for tag, _, _ in form)
        if kind not in self.kinds:
            _check_content(kind)
            self.walk.check_item(read_dataset(BytesIO(group), False, True, bytelength=len(group)), self.table)
            self.kinds.add(kind)
        for tag, start, end in form:
            met = _is_content(group, start, end) if tag == CONTENT else group[start:end] in self.known
            if not met:
                self._check_sequence(tag, group[start + SEQUENCE_HEAD : end])
                self.known.add(group[start:end])
        forms = self.forms.setdefault(len(group), [])
        if form not in forms:
            forms.append(form)

    def _check_sequence(self, tag: int, value: bytes) -> None:
        varied: Values = []
        frame = tag, _part(value, (tag,), varied)
        if frame in self.frames:
            for path, vr, found in varied:
                self._check_varied(path, vr, found)
            return
        holder = Dataset()
        holder[Tag(tag)] = RawDataElement(Tag(tag), "SQ", len(value), value, 0, False, True)
        self.walk.check_items(holder[Tag(tag)], self.table.rules[tag])
        self.frames.add(frame)

    def _check_varied(self, path: tuple[int, ...], vr: bytes, value: bytes) -> None:
        try:
            self.walk.check_value(_parse(path[-1], vr, value), self._find_rule(path), path[-1])
        except AttributeFault as fault:
            fault.place[:0] = [keyword_for_tag(tag) for tag in path[:-1]]
            raise

    def _find_rule(self, path: tuple[int, ...]) -> Rule:
        table = self.table
        for tag in path[:-1]:
            below = table.rules[tag].items
            assert below is not None, "such a sequence was looked at before"
            table = below
        return table.rules[path[-1]]


def check_frames(ds: Dataset, walk: Walk) -> None:
    """Raise AttributeFault, naming frame and attribute, unless every group is what the tables want.

    walk: what check_attributes(ds) returned.
    """
    table = get_iod(str(ds.SOPClassUID)).whole.rules[FRAMES].items
    assert table is not None, "every IOD with frames has functional groups"
    found = ds.get_item(FRAMES)
    if isinstance(found, RawDataElement) and found.value and found.is_little_endian and not found.is_implicit_VR:
        try:
            return _check(walk_items(found.value), _Groups(walk, table))
        except NotPlain:
            pass  # of undefined length, as others write it
    return _check(ds.PerFrameFunctionalGroupsSequence, _Groups(walk, table))


def _check(groups: Iterable[bytes | Dataset], seen: _Groups) -> None:
    for n, group in enumerate(groups, 1):
        try:
            seen.check(group)
        except AttributeFault as fault:
            fault.place.insert(0, f"PerFrameFunctionalGroupsSequence[{n}]")
            raise


def _check_content(tags: Collection[int]) -> None:
    """Frame Content is the one group that is never shared (PS3.3 C.7.6.16.2.2)."""
    if CONTENT not in tags:
        raise AttributeFault("FrameContentSequence", "is absent")


def _part(sequence: bytes, path: tuple[int, ...], varied: Values) -> Hashable:
    """The items of a sequence without the values of VARIED, which go to `varied`. Raises NotPlain."""
    return tuple(
        tuple(_part_element(*element, path, varied) for element in _walk(item)) for item in walk_items(sequence)
    )


def _part_element(tag: int, vr: bytes, value: bytes, path: tuple[int, ...], varied: Values) -> Hashable:
    if vr == b"SQ":
        return tag, vr, _part(value, (*path, tag), varied)
    if tag in VARIED:
        varied.append(((*path, tag), vr, value))
        return tag, vr
    return tag, vr, value


def _walk(item: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, VR, value) of each element of an item."""
    start = 0
    for tag, value in walk_elements(item):
        vr = item[start + 4 : start + 6]
        start += (SEQUENCE_HEAD if vr in LONG_VRS else 8) + len(value)
        yield tag, vr, value


def _parse(tag: int, vr: bytes, value: bytes) -> DataElement:
    return convert_raw_data_element(RawDataElement(Tag(tag), vr.decode(), len(value), value, 0, False, True))


def _is_content(group: bytes, start: int, end: int) -> bool:
    """Whether Frame Content there holds Dimension Index Values and nothing else: any number is valid."""
    size = end - start - HEAD.size
    head = (0x0020, 0x9111, b"SQ\0\0", size + 16, ITEM, size + 8, 0x0020, 0x9157, b"UL", size)
    return size > 0 and size % 4 == 0 and size < 1 << 16 and group.startswith(HEAD.pack(*head), start)


def _find_form(group: bytes) -> Form:
    form, start = [], 0
    for tag, value in walk_elements(group):
        form.append((tag, start, start + SEQUENCE_HEAD + len(value)))
        start = form[-1][2]
    if start != len(group):
        raise NotPlain("a functional group holds what is no sequence")
    return form
