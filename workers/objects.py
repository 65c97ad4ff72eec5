"""What the destinations of a job are sent, encoded and checked: each object once, whoever gets it.

A report names the segmentation that is sent with it, so there is one for each form of the segmentation: BINARY, label
map, or none at all for a destination that is sent none.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from pydicom import Dataset

from node.dicom.authorship import Authorship
from node.dicom.capture import encode_capture
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.labelmap import encode_labelmap
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
from pipelines.terms import Result, Volume

BINARY, LABELMAP = SegmentationForm.BINARY, SegmentationForm.LABELMAP

Form = SegmentationForm | None
Objects = dict[Kind, list[Dataset]]


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
    forms = _encode_forms(answer, {_wish(peer) for peer in peers.values()} or {BINARY}, begin or _wait)
    earlier = [header for stack in answer.priors for header in stack.headers]
    for objects in (*forms.values(), others):
        check_objects(_flatten(objects), answer.stack.headers, answer.author.predecessors, earlier)
    made = Made([dataset for objects in (*forms.values(), others) for dataset in _flatten(objects)])
    if LABELMAP in forms:
        made.substitutes.update(zip(_uids(forms[LABELMAP]), _uids(forms[BINARY]), strict=True))
    for name, peer in peers.items():
        form = _wish(peer) if _wish(peer) in forms else BINARY
        made.shares[name] = _uids(forms[form], peer.objects) + _uids(others, peer.objects)
    return made


def _wish(peer: Peer) -> Form:
    """The form that `peer` would be sent, None where it is sent no segmentation."""
    return peer.segmentation if Kind.SEGMENTATION in peer.objects else None


def _wait(_dataset: Dataset) -> None:
    """Nothing is written before all is made."""


def _encode_forms(answer: Answer, wishes: Iterable[Form], begin: Callable[[Dataset], None]) -> dict[Form, Objects]:
    """Segmentation and report in each form that is wished for; in BINARY alone where nothing was segmented, and
    beside every label map, which not every peer takes."""
    if not answer.has_segments:
        return {BINARY: {Kind.REPORT: [_encode_report(answer, None)]}}
    forms: dict[Form, Objects] = {}
    if LABELMAP in wishes:
        try:
            segmentation = encode_labelmap(answer.stack, answer.result, answer.author)
            forms[LABELMAP] = _pair(answer, segmentation, begin, "report, label map")
        except OverlappingSegments:
            pass  # a label map holds one segment a voxel; BINARY holds them all
    if None in wishes:
        forms[None] = {Kind.REPORT: [_encode_report(answer, None, "report, alone")]}
    if set(wishes) != {None}:
        segmentation = encode_segmentation(answer.stack, answer.result, answer.author)
        forms[BINARY] = _pair(answer, segmentation, begin, "report")
    return forms


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


def _pair(answer: Answer, segmentation: Dataset, begin: Callable[[Dataset], None], part: str) -> Objects:
    begin(segmentation)
    return {Kind.SEGMENTATION: [segmentation], Kind.REPORT: [_encode_report(answer, segmentation, part)]}


def _encode_report(answer: Answer, segmentation: Dataset | None, part: str = "report") -> Dataset:
    return encode_report(answer.stack, answer.result, answer.author, segmentation, notes=answer.notes, part=part)


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
    Kind.CAPTURE: lambda a: [encode_capture(a.stack, a.volume, a.result, a.author)],
    Kind.MAP: lambda a: encode_parametric_maps(a.stack, a.result, a.author),
    Kind.STRUCTURES: _encode_structures,
    Kind.REGISTRATION: lambda a: encode_registrations(a.stack, a.priors, a.result, a.author),
    Kind.DOCUMENT: lambda a: [encode_document(a.stack, a.volume, a.result, a.author, notes=a.notes)],
}
"""All that names no segmentation. Nothing is made of a kind for which there is nothing to show."""


def _flatten(objects: Objects) -> list[Dataset]:
    return [dataset for several in objects.values() for dataset in several]


def _uids(objects: Objects, kinds: Iterable[Kind] = tuple(Kind)) -> list[str]:
    wanted = set(kinds)
    return [str(ds.SOPInstanceUID) for kind, several in objects.items() if kind in wanted for ds in several]
