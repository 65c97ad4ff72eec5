"""The same as `retrieve` by DICOMweb: QIDO-RS asks (PS3.18 10.6), WADO-RS fetches (PS3.18 10.4).

Images come as they are stored, part by part, and none is held as a whole. What is in an address may name a patient, so
no address is ever told.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from pydicom import Dataset

from node.config import Settings
from node.dicom.header import DAMAGE
from node.dicom.multipart import Malformed, parse_media_type, read_parts
from node.dicom.query import IMAGE_KEYS, SERIES_KEYS, STUDY_KEYS, is_of, to_instance, to_series, to_study
from node.errors import OutOfResources, PeerRefused, PeerUnreachable, RefusedInstance
from node.model.archive import FoundInstance, FoundSeries, FoundStudy, Sink
from node.security.web_client import make_web_client

CHUNK = 1 << 18
LONGEST = 32 << 20
"""Bytes of one answer to QIDO-RS that are read."""

PAGE = 500
MOST_ANSWERS = 50_000
SILENCE = 30.0
"""Seconds for which a server may be silent."""

INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"


class WebArchive:
    """`Archive` by QIDO-RS and WADO-RS."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.title = settings.peers[name].ae_title
        self._access = settings.peers[name].web
        self._root = settings.peers[name].dicomweb.rstrip("/")

    def find_studies(self, patient_id: str, dates: tuple[str, str], modality: str, until: float) -> list[FoundStudy]:
        matching = {"PatientID": patient_id, "StudyDate": f"{dates[0]}-{dates[1]}"}
        if modality:
            matching["ModalitiesInStudy"] = modality
        return [to_study(one) for one in self._query("/studies", matching, STUDY_KEYS, until)]

    def find_series(self, study_uid: str, until: float) -> list[FoundSeries]:
        answers = self._query(f"/studies/{study_uid}/series", {}, SERIES_KEYS, until)
        return [to_series(one) for one in answers if is_of(one, StudyInstanceUID=study_uid)]

    def find_instances(self, study_uid: str, series_uid: str, until: float) -> list[FoundInstance]:
        place = f"/studies/{study_uid}/series/{series_uid}/instances"
        answers = self._query(place, {}, IMAGE_KEYS, until)
        uids = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        return [to_instance(one) for one in answers if is_of(one, **uids)]

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
        series = f"/studies/{study_uid}/series/{series_uid}"
        places = [series] if whole else [f"{series}/instances/{one.sop_instance_uid}" for one in instances]
        for place in places:
            self._fetch(self._root + place, sink, until)

    def fetch_at(self, url: str, sink: Sink, until: float) -> None:
        """Brings what lies at `url`, an address of WADO-RS on this server that we were told. Raises like `fetch`."""
        self._fetch(url, sink, until)

    def _query(self, place: str, matching: dict[str, str], keys: Sequence[str], until: float) -> list[Dataset]:
        """All answers, page by page. A server that knows no pages says the same again: nothing new ends the list."""
        answers: dict[str, Dataset] = {}
        while True:
            page = {"limit": str(PAGE), "offset": str(len(answers)), "includefield": ",".join(keys)}
            before = len(answers)
            found = self._read_page(place, matching | page, until)
            answers |= {str(one.get(keys[0], "")): one for one in found}
            if len(found) < PAGE or len(answers) == before:
                return list(answers.values())
            if len(answers) > MOST_ANSWERS:
                raise PeerRefused(f"{self.name} gives more than {MOST_ANSWERS} answers to one question")

    def _read_page(self, place: str, matching: dict[str, str], until: float) -> list[Dataset]:
        with self._open(self._root + place, matching, JSON, "QIDO-RS", until) as answer:
            data = bytearray()
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > LONGEST:
                    raise PeerRefused(f"{self.name} answers QIDO-RS with more than {LONGEST >> 20} MB")
        try:
            found: Any = [] if answer.status_code == httpx.codes.NO_CONTENT else json.loads(data or b"[]")
            return [Dataset.from_json(one) for one in found]
        except (*DAMAGE, json.JSONDecodeError):
            raise PeerRefused(f"{self.name} answers QIDO-RS with what is no DICOM JSON") from None

    def _fetch(self, address: str, sink: Sink, until: float) -> None:
        with self._open(address, {}, INSTANCES, "WADO-RS", until) as answer:
            kind = parse_media_type(answer.headers.get("Content-Type", ""))
            boundary = kind.parameters.get("boundary", "")
            if kind.name != "multipart/related" or not boundary:
                raise PeerRefused(f"{self.name} answers WADO-RS with what is no multipart/related")
            try:
                for part in read_parts(answer.iter_bytes(CHUNK), boundary):
                    _give(sink, self._watch(part, until))
            except Malformed:
                raise PeerUnreachable(f"{self.name} broke off WADO-RS") from None

    def _watch(self, part: Iterator[bytes], until: float) -> Iterator[bytes]:
        for piece in part:
            if time.monotonic() > until:
                raise PeerUnreachable(f"{self.name} did not end WADO-RS in time")
            yield piece

    @contextmanager
    def _open(
        self, address: str, matching: dict[str, str], accept: str, service: str, until: float
    ) -> Iterator[httpx.Response]:
        patience = max(min(until - time.monotonic(), SILENCE), 0.1)
        try:
            with (
                make_web_client(self._access, patience) as client,
                client.stream("GET", address, params=matching or None, headers={"Accept": accept}) as answer,
            ):
                if not answer.is_success:
                    raise PeerRefused(f"{self.name} answers {service} with HTTP {answer.status_code}")
                yield answer
        except httpx.HTTPError as error:
            raise PeerUnreachable(f"{self.name} does not answer {service} ({type(error).__name__})") from None


def _give(sink: Sink, part: Iterator[bytes]) -> None:
    """What is refused does not keep out the rest: whoever asked counts what came. Raises OutOfResources: where there is
    no room for one, there is none for those that follow."""
    try:
        sink(part)
    except OutOfResources:
        raise
    except RefusedInstance:
        return
