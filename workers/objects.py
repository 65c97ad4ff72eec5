"""What the destinations of a job are sent, encoded and checked: each object once, whoever gets it.

A report names the segmentation that is sent with it, so there is one for each form of the segmentation: BINARY, label
map, or none at all for a destination that is sent none.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pydicom import Dataset

from node.dicom.authorship import Authorship
from node.dicom.capture import encode_capture
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.labelmap import encode_labelmap
from node.dicom.map_capture import encode_map_captures
from node.dicom.output_gate import check_objects
from node.dicom.parametric_map import encode_parametric_maps
from node.dicom.presentation import encode_presentation
from node.dicom.registration import encode_registrations
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.sheet import choose_window
from node.dicom.stack import Stack
from node.dicom.structure_set import encode_structure_set
from node.errors import EncodingError, OverlappingSegments
from node.model.delivery import Kind
from node.sections import Peer, SegmentationForm
from pipelines.terms import Code, Result, Volume

BINARY, LABELMAP = SegmentationForm.BINARY, SegmentationForm.LABELMAP

Form = SegmentationForm | None
Objects = dict[Kind, list[Dataset]]
Shown = frozenset[Kind]
"""Which of LINKED a report may refer to: a destination is told of no object that it is not sent."""
LINKED = (Kind.MAP, Kind.CAPTURE)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a pipeline said of a stack. volume: the voxels of `stack`; notes: sentences of ours beside the result's;
    priors: the stacks of earlier studies that it was given."""

    stack: Stack
    volume: Volume
    result: Result
    author: Authorship
    notes: tuple[str, ...] = ()
    priors: tuple[Stack, ...] = ()

    @property
    def has_segments(self) -> bool:
        """True when a segment has a voxel."""
        return any(not segment.is_empty for segment in self.result.segments)

    @property
    def has_places(self) -> bool:
        """True when there is something to outline: a segment, or a box where a finding is."""
        return self.has_segments or any(f.box is not None and not f.absent for f in self.result.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """datasets: in the order in which they are sent. substitutes: SOP Instance UID -> that of what goes in its place to
    a destination that refuses it. shares: destination -> SOP Instance UIDs."""

    datasets: list[Dataset] = field(default_factory=list)
    substitutes: dict[str, str] = field(default_factory=dict)
    shares: dict[str, list[str]] = field(default_factory=dict)


def encode_objects(answer: Answer, peers: Mapping[str, Peer], begin: Callable[[Dataset], None] | None = None) -> Made:
    """The objects that the destinations `peers` are sent; BINARY and its report when there are none.

    begin: is given each segmentation as soon as it is encoded, before it is checked, to be written aside meanwhile.

    Raises EncodingError when segmentation or report cannot be made, or when any object does not pass the output gate:
    then none is sent. Another kind that cannot be made of these images is left out, and the report says so.
    """
    others, lacking = _encode_others(answer, {kind for peer in peers.values() for kind in peer.objects})
    answer = replace(answer, notes=(*answer.notes, *lacking))
    writer = _Writer(answer, others, begin or _wait)
    wishes = {name: (_wish(peer), _find_shown(peer, writer.links)) for name, peer in peers.items()}
    forms = writer.write(set(wishes.values()) or {(BINARY, frozenset())})
    earlier = [header for stack in answer.priors for header in stack.headers]
    for objects, beside in [*((one, others) for one in forms.values()), (others, {})]:
        check_objects(
            _flatten([objects]), answer.stack.headers, answer.author.predecessors, earlier, _flatten([beside])
        )
    made = Made(_flatten([*forms.values(), others]))
    for (form, shown), objects in forms.items():
        if form == LABELMAP:
            made.substitutes.update(zip(_uids(objects), _uids(forms[BINARY, shown]), strict=True))
    for name, peer in peers.items():
        form, shown = wishes[name]
        objects = forms[(form, shown) if (form, shown) in forms else (BINARY, shown)]
        made.shares[name] = _uids(objects, peer.objects) + _uids(others, peer.objects)
    return made


def _wish(peer: Peer) -> Form:
    """The form that `peer` would be sent, None where it is sent no segmentation."""
    return peer.segmentation if Kind.SEGMENTATION in peer.objects else None


def _find_shown(peer: Peer, links: Mapping[Kind, object]) -> Shown:
    """The kinds that a report for `peer` can refer to."""
    return frozenset(kind for kind in links if kind in peer.objects)


def _wait(_dataset: Dataset) -> None:
    """Nothing is written before all is made."""


class _Writer:
    """Segmentations and reports of one answer. links: by kind, what a report refers to: what it shows, and itself."""

    def __init__(self, answer: Answer, others: Objects, begin: Callable[[Dataset], None]) -> None:
        self._answer, self._begin = answer, begin
        self._segmentations: dict[Form, Dataset] = {}
        self.links = _find_links(answer.result, others)

    def write(self, wishes: Set[tuple[Form, Shown]]) -> dict[tuple[Form, Shown], Objects]:
        """Segmentation and report in each form that is wished for, with each set of links; in BINARY alone where
        nothing was segmented, and beside every label map, which not every peer takes."""
        found: dict[tuple[Form, Shown], Objects] = {}
        for shown in sorted({shown for _, shown in wishes}, key=sorted):
            forms = {form for form, one in wishes if one == shown}
            found |= {(form, shown): objects for form, objects in self._write_forms(forms, shown).items()}
        return found

    def _write_forms(self, wishes: Set[Form], shown: Shown) -> dict[Form, Objects]:
        if not self._answer.has_segments:
            return {BINARY: {Kind.REPORT: [self._report(None, shown)]}}
        forms: dict[Form, Objects] = {}
        if LABELMAP in wishes:
            with suppress(OverlappingSegments):  # a label map holds one segment a voxel; BINARY holds them all
                forms[LABELMAP] = self._pair(LABELMAP, shown, "report, label map")
        if None in wishes:
            forms[None] = {Kind.REPORT: [self._report(None, shown, "report, alone")]}
        if wishes != {None}:
            forms[BINARY] = self._pair(BINARY, shown, "report")
        return forms

    def _pair(self, form: SegmentationForm, shown: Shown, part: str) -> Objects:
        if form not in self._segmentations:
            encode = encode_labelmap if form == LABELMAP else encode_segmentation
            self._segmentations[form] = encode(self._answer.stack, self._answer.result, self._answer.author)
            self._begin(self._segmentations[form])
        segmentation = self._segmentations[form]
        return {Kind.SEGMENTATION: [segmentation], Kind.REPORT: [self._report(segmentation, shown, part)]}

    def _report(self, segmentation: Dataset | None, shown: Shown, part: str = "report") -> Dataset:
        links = [link for kind in LINKED if kind in shown for link in self.links[kind]]
        named = ", ".join([part, *(f"with {kind}" for kind in LINKED if kind in shown)])
        a = self._answer
        return encode_report(a.stack, a.result, a.author, segmentation, notes=a.notes, links=links, part=named)


def _find_links(result: Result, others: Objects) -> dict[Kind, list[tuple[Code, Dataset]]]:
    """The maps of `result` and the pictures of them, as far as they were made, each with its quantity."""
    pictures = others.get(Kind.CAPTURE, [])[1:]  # the first is of the findings
    made = {Kind.MAP: others.get(Kind.MAP, []), Kind.CAPTURE: pictures}
    return {
        kind: [(scalars.quantity, dataset) for scalars, dataset in zip(result.maps, datasets, strict=False)]
        for kind, datasets in made.items()
        if datasets
    }


def _encode_others(answer: Answer, wanted: Set[Kind]) -> tuple[Objects, list[str]]:
    """(all that names no segmentation, a sentence on each kind that cannot be made)."""
    made: Objects = {}
    lacking = []
    for kind, encode in ENCODERS.items():
        if kind in wanted:
            try:
                made[kind] = encode(answer)
            except EncodingError as error:
                lacking.append(f"No {kind} object was made: {error}.")
    return made, lacking


def _encode_captures(answer: Answer) -> list[Dataset]:
    parts = (answer.stack, answer.volume, answer.result, answer.author)
    return [encode_capture(*parts), *encode_map_captures(*parts)]


def _encode_presentation(answer: Answer) -> list[Dataset]:
    if not answer.has_places:
        return []
    limits = choose_window(answer.volume, ())
    return [encode_presentation(answer.stack, answer.result, answer.author, limits=limits)]


def _encode_key_objects(answer: Answer) -> list[Dataset]:
    found = encode_key_objects(answer.stack, answer.result, answer.author)
    return [found] if found is not None else []


def _encode_structures(answer: Answer) -> list[Dataset]:
    return [encode_structure_set(answer.stack, answer.result, answer.author)] if answer.has_segments else []


ENCODERS: dict[Kind, Callable[[Answer], list[Dataset]]] = {
    Kind.PRESENTATION: _encode_presentation,
    Kind.KEY_OBJECTS: _encode_key_objects,
    Kind.CAPTURE: _encode_captures,
    Kind.MAP: lambda a: encode_parametric_maps(a.stack, a.result, a.author),
    Kind.STRUCTURES: _encode_structures,
    Kind.REGISTRATION: lambda a: encode_registrations(a.stack, a.priors, a.result, a.author),
    Kind.DOCUMENT: lambda a: [encode_document(a.stack, a.volume, a.result, a.author, notes=a.notes)],
}
"""All that names no segmentation. Nothing is made of a kind for which there is nothing to show."""


def _flatten(groups: Iterable[Objects]) -> list[Dataset]:
    """Every object of `groups` once, in their order."""
    found = [dataset for objects in groups for several in objects.values() for dataset in several]
    return list({id(dataset): dataset for dataset in found}.values())


def _uids(objects: Objects, kinds: Iterable[Kind] = tuple(Kind)) -> list[str]:
    wanted = set(kinds)
    return [str(ds.SOPInstanceUID) for kind, several in objects.items() if kind in wanted for ds in several]
