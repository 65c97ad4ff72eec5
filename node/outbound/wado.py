"""The same as `retrieve` by DICOMweb: QIDO-RS asks (PS3.18 10.6), WADO-RS fetches (PS3.18 10.4).

Images come as they are stored, part by part, and none is held as a whole. What is in an address may name a patient, so
no address is ever told.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pydicom import Dataset

from node.config import Settings
from node.dicom.header import DAMAGE
from node.dicom.query import IMAGE_KEYS, SERIES_KEYS, STUDY_KEYS, to_instance, to_series, to_study
from node.errors import PeerRefused, PeerUnreachable, RefusedInstance
from node.model.archive import FoundInstance, FoundSeries, FoundStudy, Sink
from node.outbound.parts import find_boundary, read_parts

LONGEST = 32 << 20
"""Bytes of one answer to QIDO-RS that are read."""

PAGE = 500
MOST_ANSWERS = 20_000
SILENCE = 30.0
"""Seconds for which a server may be silent."""

INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"
NO_CONTENT = 204


class WebArchive:
    """`Archive` by QIDO-RS and WADO-RS."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.title = settings.peers[name].ae_title
        self._root = settings.peers[name].dicomweb.rstrip("/")

    def find_studies(self, patient_id: str, dates: tuple[str, str], modality: str, until: float) -> list[FoundStudy]:
        matching = {"PatientID": patient_id, "StudyDate": f"{dates[0]}-{dates[1]}"}
        if modality:
            matching["ModalitiesInStudy"] = modality
        return [to_study(one) for one in self._query("/studies", matching, STUDY_KEYS, until)]

    def find_series(self, study_uid: str, until: float) -> list[FoundSeries]:
        return [to_series(one) for one in self._query(f"/studies/{study_uid}/series", {}, SERIES_KEYS, until)]

    def find_instances(self, study_uid: str, series_uid: str, until: float) -> list[FoundInstance]:
        place = f"/studies/{study_uid}/series/{series_uid}/instances"
        return [to_instance(one) for one in self._query(place, {}, IMAGE_KEYS, until)]

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
            self._fetch(place, sink, until)

    def _query(self, place: str, matching: dict[str, str], keys: Sequence[str], until: float) -> list[Dataset]:
        """All answers, page by page. A server that knows no pages says the same again: nothing new ends the list."""
        answers: dict[str, Dataset] = {}
        while True:
            page = {"limit": str(PAGE), "offset": str(len(answers)), "includefield": ",".join(keys)}
            before = len(answers)
            found = self._read_page(f"{place}?{urlencode(matching | page)}", until)
            answers |= {str(one.get(keys[0], "")): one for one in found}
            if len(found) < PAGE or len(answers) == before:
                return list(answers.values())
            if len(answers) > MOST_ANSWERS:
                raise PeerRefused(f"{self.name} gives more than {MOST_ANSWERS} answers to one question")

    def _read_page(self, place: str, until: float) -> list[Dataset]:
        with self._open(place, JSON, "QIDO-RS", until) as answer:
            data = b"[]" if answer.status == NO_CONTENT else answer.read(LONGEST)
        try:
            found: Any = json.loads(data or b"[]")
            return [Dataset.from_json(one) for one in found]
        except (*DAMAGE, json.JSONDecodeError):
            raise PeerRefused(f"{self.name} answers QIDO-RS with what is no DICOM JSON") from None

    def _fetch(self, place: str, sink: Sink, until: float) -> None:
        with self._open(place, INSTANCES, "WADO-RS", until) as answer:
            try:
                boundary = find_boundary(answer.headers.get("Content-Type", ""))
            except ValueError:
                raise PeerRefused(f"{self.name} answers WADO-RS with what is no multipart/related") from None
            try:
                for part in read_parts(answer.read1, boundary):
                    _give(sink, self._watch(part, until))
            except ValueError:
                raise PeerUnreachable(f"{self.name} broke off WADO-RS") from None

    def _watch(self, part: Iterator[bytes], until: float) -> Iterator[bytes]:
        for piece in part:
            if time.time() > until:
                raise PeerUnreachable(f"{self.name} did not end WADO-RS in time")
            yield piece

    @contextmanager
    def _open(self, place: str, accept: str, service: str, until: float) -> Iterator[HTTPResponse]:
        request = Request(f"{self._root}{place}", headers={"Accept": accept})  # noqa: S310  http and https alone
        try:
            with urlopen(request, timeout=max(min(until - time.time(), SILENCE), 0.1)) as answer:  # noqa: S310
                yield answer
        except HTTPError as error:
            raise PeerRefused(f"{self.name} answers {service} with HTTP {error.code}") from None
        except (OSError, HTTPException) as error:
            kind = type(getattr(error, "reason", error)).__name__
            raise PeerUnreachable(f"{self.name} does not answer {service} ({kind})") from None


def _give(sink: Sink, part: Iterator[bytes]) -> None:
    """What is refused is in quarantine; whoever asked counts what came."""
    try:
        sink(part)
    except RefusedInstance:
        return
