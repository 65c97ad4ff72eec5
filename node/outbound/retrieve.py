"""Query and retrieve as a client (PS3.4 annex C, Study Root): a peer is asked, and sends what we choose.

By C-MOVE it sends to our door on associations of its own, by C-GET on ours, to a sink, one instance in memory at a
time. Every verb has a time by which it is over; a peer that goes on after it is aborted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from node.config import Settings
from node.dicom.file_meta import encode_file_meta
from node.dicom.query import (
    IMAGE_KEYS,
    SERIES_KEYS,
    STUDY_KEYS,
    is_of,
    make_identifier,
    to_instance,
    to_series,
    to_study,
)
from node.dicom.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from node.errors import PeerRefused, PeerUnreachable, RefusedInstance
from node.model.archive import FoundInstance, FoundSeries, FoundStudy, Sink
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate_peer
from node.sections import Retrieve

Responses = Iterator[tuple[Dataset, Dataset | None]]
"""(status, identifier) of each response, as pynetdicom gives them."""

MOST_ANSWERS = {"STUDY": 500, "SERIES": 2_000, "IMAGE": 50_000}
"""A peer that answers more to one question did not filter at all, or is asked about a patient who is none."""

MOST_UIDS = 100
"""Instances named in one request."""

PENDING = {0xFF00, 0xFF01}
PARTLY = 0xB000
"""Sub-operations complete, one or more failures or warnings (PS3.4 table C.4-2, C.4-3)."""

MEANINGS = {
    0xA701: "it cannot count the matches",
    0xA702: "it cannot send them to us: does it know our AE title, host and port, and may it send to us?",
    0xA801: "it does not know our AE title as a move destination",
    0xA900: "it does not understand what it is asked",
    0xC000: "it fails, as some do when they cannot reach our door",
}

CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1.1")
"""Proposed for C-GET when the peer does not say of which class its instances are: CT, MR, digital X-ray."""

SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
)
"""Proposed for C-GET, a context each, so that what a peer holds can come as it is."""

MOST_CLASSES = 11
"""Of so many classes in all these syntaxes there are less than 128 contexts."""


class DimseArchive:
    """`Archive` by C-FIND and C-MOVE or C-GET."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._peer = settings.peers[name]
        self._ours = settings.node.ae_title
        self.title = self._peer.ae_title

    def find_studies(self, patient_id: str, dates: tuple[str, str], modality: str, until: float) -> list[FoundStudy]:
        matching: dict[str, str | Sequence[str]] = {"PatientID": patient_id, "StudyDate": f"{dates[0]}-{dates[1]}"}
        if modality:
            matching["ModalitiesInStudy"] = modality
        return [to_study(answer) for answer in self._find(make_identifier("STUDY", matching, STUDY_KEYS), until)]

    def find_series(self, study_uid: str, until: float) -> list[FoundSeries]:
        identifier = make_identifier("SERIES", {"StudyInstanceUID": study_uid}, SERIES_KEYS)
        answers = self._find(identifier, until)
        return [to_series(answer) for answer in answers if is_of(answer, StudyInstanceUID=study_uid)]

    def find_instances(self, study_uid: str, series_uid: str, until: float) -> list[FoundInstance]:
        matching: dict[str, str | Sequence[str]] = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        answers = self._find(make_identifier("IMAGE", matching, IMAGE_KEYS), until)
        place = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        return [to_instance(answer) for answer in answers if is_of(answer, **place)]

    def fetch(
        self,
        study_uid: str,
        series_uid: str,
        instances: Sequence[FoundInstance],
        sink: Sink,
        until: float,
        *,
        whole: bool,
    ) -> None:
        keys: dict[str, str | Sequence[str]] = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        if whole:
            self._retrieve(make_identifier("SERIES", keys), instances, sink, until)
            return
        for start in range(0, len(instances), MOST_UIDS):
            some = instances[start : start + MOST_UIDS]
            uids = [instance.sop_instance_uid for instance in some]
            self._retrieve(make_identifier("IMAGE", keys | {"SOPInstanceUID": uids}), some, sink, until)

    def _find(self, identifier: Dataset, until: float) -> list[Dataset]:
        answers: list[Dataset] = []
        most = MOST_ANSWERS[identifier.QueryRetrieveLevel]
        with self._open([build_context(STUDY_ROOT_FIND)], [], [], until) as association:
            responses = self._ask("C-FIND", lambda: association.send_c_find(identifier, STUDY_ROOT_FIND))
            for answer in self._follow("C-FIND", association, responses, until):
                answers.append(answer)
                if len(answers) > most:
                    association.abort()
                    raise PeerRefused(f"{self.name} gives more than {most} answers to one question")
        return answers

    def _retrieve(self, identifier: Dataset, instances: Sequence[FoundInstance], sink: Sink, until: float) -> None:
        if self._peer.retrieve == Retrieve.GET:
            self._get(identifier, instances, sink, until)
        else:
            self._move(identifier, until)

    def _move(self, identifier: Dataset, until: float) -> None:
        with self._open([build_context(STUDY_ROOT_MOVE)], [], [], until) as association:
            responses = self._ask("C-MOVE", lambda: association.send_c_move(identifier, self._ours, STUDY_ROOT_MOVE))
            for _ in self._follow("C-MOVE", association, responses, until):
                pass

    def _get(self, identifier: Dataset, instances: Sequence[FoundInstance], sink: Sink, until: float) -> None:
        kinds = sorted({instance.sop_class_uid for instance in instances} - {""}) or list(CLASSES)
        contexts = [build_context(kind, [syntax]) for kind in kinds[:MOST_CLASSES] for syntax in SYNTAXES]
        roles = [build_role(UID(kind), scu_role=False, scp_role=True) for kind in kinds[:MOST_CLASSES]]
        handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, _take, [sink])]
        with self._open([build_context(STUDY_ROOT_GET), *contexts], handlers, roles, until) as association:
            responses = self._ask("C-GET", lambda: association.send_c_get(identifier, STUDY_ROOT_GET))
            for _ in self._follow("C-GET", association, responses, until):
                pass

    @contextmanager
    def _open(
        self,
        contexts: Sequence[PresentationContext],
        handlers: Sequence[evt.EventHandlerType],
        roles: Sequence[object],
        until: float,
    ) -> Iterator[Association]:
        """An association on which this thread alone takes messages."""
        with associate_peer(self._ours, self._peer, contexts, handlers, roles) as association:
            association.dimse_timeout = max(until - time.monotonic(), 0.1)
            with hold_reactor(association):
                yield association

    def _ask(self, service: str, send: Callable[[], Responses]) -> Responses:
        try:
            return send()
        except ValueError:
            raise PeerRefused(f"{self.name} does not take {service} (Study Root)") from None
        except RuntimeError:
            raise PeerUnreachable(f"{self.name} broke off before {service}") from None

    def _follow(
        self,
        service: str,
        association: Association,
        responses: Responses,
        until: float,
    ) -> Iterator[Dataset]:
        """The identifiers of pending responses; returns at a success. Raises what another final status means."""
        for status, identifier in responses:
            if "Status" not in status:
                raise PeerUnreachable(f"{self.name} did not answer {service} in time, or broke off")
            code = int(status.Status)
            if code not in PENDING:
                self._judge(service, code)
                return
            if identifier is not None:
                yield identifier
            left = until - time.monotonic()
            if left <= 0:
                association.abort()
                raise PeerUnreachable(f"{self.name} did not end {service} in time")
            association.dimse_timeout = left

    def _judge(self, service: str, code: int) -> None:
        """Of a retrieval that went well in part the caller counts what came."""
        if code not in {0x0000, PARTLY}:
            meaning = MEANINGS.get(code, "")
            raise PeerRefused(f"{self.name} answers {service} with 0x{code:04X}{': ' * bool(meaning)}{meaning}")


def _take(event: evt.Event, sink: Sink) -> int:
    """The answer to a C-STORE on our own association (PS3.4 C.4.3.3)."""
    request: Any = event.request
    head = encode_file_meta(
        str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID), str(event.context.transfer_syntax)
    )
    try:
        sink([head, request.DataSet.getvalue()])
    except RefusedInstance as refusal:
        return refusal.status
    return 0x0000
