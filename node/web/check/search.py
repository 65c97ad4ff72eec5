"""Search (QIDO-RS): PS3.18 10.6."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node.web.check.finding import Finding, find_equal, find_missing, find_status, skip
from node.web.check.line import Line

JSON = "application/dicom+json"
NOWHERE = "2.25.1"
"""A UID that nobody has."""

STUDY = {
    "00080020": "StudyDate",
    "00080030": "StudyTime",
    "00080050": "AccessionNumber",
    "00080061": "ModalitiesInStudy",
    "00080090": "ReferringPhysicianName",
    "00100010": "PatientName",
    "00100020": "PatientID",
    "00100030": "PatientBirthDate",
    "00100040": "PatientSex",
    "0020000D": "StudyInstanceUID",
    "00200010": "StudyID",
    "00201206": "NumberOfStudyRelatedSeries",
    "00201208": "NumberOfStudyRelatedInstances",
}
SERIES = {
    "00080060": "Modality",
    "0020000E": "SeriesInstanceUID",
    "00200011": "SeriesNumber",
    "00201209": "NumberOfSeriesRelatedInstances",
}
INSTANCE = {"00080016": "SOPClassUID", "00080018": "SOPInstanceUID", "00200013": "InstanceNumber"}
"""Attributes that are returned whatever is asked (tables 10.6.3-3, 10.6.3-4, 10.6.3-5)."""


@dataclass(slots=True)
class Sample:
    """An instance of the server on which retrieval is tried; empty until one is found."""

    study_uid: str = ""
    series_uid: str = ""
    instance_uid: str = ""

    @property
    def instance(self) -> str:
        """Its path."""
        return f"/studies/{self.study_uid}/series/{self.series_uid}/instances/{self.instance_uid}"


def check_search(line: Line, sample: Sample) -> Iterator[Finding]:
    """All of 10.6; fills `sample` by what is found, starting from its study if it has one."""
    yield from _check_levels(line, sample)
    yield from _check_matching(line, sample)
    yield from _check_errors(line)


def read_value(model: dict[str, Any], tag: str) -> str:
    """The first value of an attribute as text, "" for none."""
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _check_levels(line: Line, sample: Sample) -> Iterator[Finding]:
    known = f"StudyInstanceUID={sample.study_uid}&" if sample.study_uid else ""
    place, keys = f"/studies?{known}limit=1", STUDY
    for level, tag in (("study", "0020000D"), ("series", "0020000E"), ("instance", "00080018")):
        answer = line.ask(place, JSON)
        yield find_status("10.6.3.1", f"search at the {level} level", answer, {200, 204})
        models = answer.read_json()
        if not models:
            yield skip("10.6", f"a {level} with its attributes", "the server has none that we see")
            return
        yield find_equal("10.6.4", f"media type at the {level} level", JSON, answer.media_type.name)
        yield find_equal("8.3.4.4", f"limit=1 at the {level} level", 1, len(models))
        yield find_missing("10.6.3.3", f"attributes at the {level} level", models[0], keys)
        uid = read_value(models[0], tag)
        if level == "study":
            sample.study_uid, keys = uid, SERIES
            place = f"/studies/{uid}/series?limit=1"
        elif level == "series":
            sample.series_uid, keys = uid, INSTANCE
            place = f"/studies/{sample.study_uid}/series/{uid}/instances?limit=1"
        else:
            sample.instance_uid = uid


def _check_matching(line: Line, sample: Sample) -> Iterator[Finding]:
    if not sample.study_uid:
        return
    uid = sample.study_uid
    for words in (f"StudyInstanceUID={uid}", f"0020000D={uid}", f"StudyInstanceUID={uid},{NOWHERE}"):
        found = {read_value(model, "0020000D") for model in line.ask(f"/studies?{words}", JSON).read_json()}
        yield find_equal("8.3.4.1", f"match by {words.split('=')[0]}{' list' if ',' in words else ''}", {uid}, found)
    answer = line.ask(f"/studies?StudyInstanceUID={NOWHERE}", JSON)
    yield find_status("10.6.3.1", "search that matches nothing", answer, {200, 204})
    yield find_equal("10.6.3.1", "results of a search that matches nothing", 0, len(answer.read_json()))
    answer = line.ask(f"/studies?StudyInstanceUID={uid}&offset=1", JSON)
    yield find_equal("8.3.4.4", "offset behind the last match", 0, len(answer.read_json()))
    answer = line.ask(f"/studies?StudyInstanceUID={uid}&fuzzymatching=true", JSON)
    yield find_status("8.3.4.2", "fuzzymatching, done or with a Warning", answer, {200, 204})
    answer = line.ask(f"/studies?StudyInstanceUID={uid}&includefield=StudyDescription", JSON)
    yield find_status("8.3.4.3", "includefield by keyword", answer, {200})
    for place in ("/series", "/instances"):
        answer = line.ask(f"{place}?StudyInstanceUID={uid}&limit=1", JSON)
        yield find_status("10.6.1", f"search of all {place[1:]}", answer, {200, 204})
    answer = line.ask(f"/studies?StudyInstanceUID={uid}", 'multipart/related; type="application/dicom+xml"')
    yield find_status("10.6.4", "search for XML", answer, {200})
    got = (answer.media_type.name, answer.media_type.parameters.get("type", ""))
    yield find_equal("10.6.4", "media type of a search for XML", ("multipart/related", "application/dicom+xml"), got)


def _check_errors(line: Line) -> Iterator[Finding]:
    yield find_status("10.6.3.1", "a limit that is no number", line.ask("/studies?limit=many", JSON), {400})
    answer = line.ask("/studies?NoSuchAttribute=1&limit=1", JSON)
    yield find_status("10.6.3.1", "an attribute that is none", answer, {400}, must=False)
    answer = line.ask("/studies?StudyDate=yesterday", JSON)
    yield find_status("10.6.3.1", "a date that is none", answer, {400}, must=False)
    answer = line.ask("/studies?limit=1", "image/x-none")
    yield find_status("8.7.5", "media types that a search does not have", answer, {406})
    if line.has_credentials:
        yield find_status("8.5", "a wrong token", line.ask_unknown("/studies?limit=1"), {401, 403})
