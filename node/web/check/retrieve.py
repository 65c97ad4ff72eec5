"""Retrieve (WADO-RS): PS3.18 10.4."""

from collections.abc import Generator, Iterator
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread

from node.web.check.finding import Finding, find_equal, find_missing, find_status, skip
from node.web.check.line import Answer, Line
from node.web.check.search import JSON, NOWHERE, Sample, read_value

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'
IDENTITY = {
    "00080016": "SOPClassUID",
    "00080018": "SOPInstanceUID",
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
}


def check_retrieve(line: Line, sample: Sample) -> Iterator[Finding]:
    """All of 10.4 that can be tried on one instance."""
    yield from _check_absent(line)
    if not sample.instance_uid:
        yield skip("10.4", "retrieval", "there is no instance to try it on")
        return
    header = yield from _check_instance(line, sample)
    model = yield from _check_metadata(line, sample)
    if header is None or "Rows" not in header:
        yield skip("10.4.1.1.6", "frames and pictures", "the sample has no pixels")
        return
    yield from _check_frames(line, sample, header)
    yield from _check_bulk(line, sample, model)
    yield from _check_rendered(line, sample)


def _check_absent(line: Line) -> Iterator[Finding]:
    for what, place in (
        ("a study", f"/studies/{NOWHERE}"),
        ("an instance", f"/studies/{NOWHERE}/series/{NOWHERE}/instances/{NOWHERE}"),
    ):
        yield find_status("10.4.3.1", f"{what} that is not there", line.ask(place, DICOM), {404})
    answer = line.ask(f"/studies/{NOWHERE}/metadata", JSON)
    yield find_status("10.4.3.1", "metadata of a study that is not there", answer, {404})


def _check_instance(line: Line, sample: Sample) -> Generator[Finding, None, Dataset | None]:
    """Returns the header, None when there was none."""
    header = None
    for words, accept in (("as any syntax", DICOM), ("as it is by default", "")):
        answer = line.ask(sample.instance, accept)
        yield find_status("10.4.3.1", f"an instance {words}", answer, {200})
        yield find_equal("8.7.3.1", f"media type of an instance {words}", "multipart/related", answer.media_type.name)
        parts = answer.read_parts()
        yield find_equal("10.4.3.3", f"parts of an instance {words}", ["application/dicom"], _list_kinds(answer))
        got = _read(parts[0][1]) if parts else None
        uid = str(got.get("SOPInstanceUID", "")) if got is not None else "no Part 10 file"
        yield find_equal("10.4.3.3", f"the instance {words}", sample.instance_uid, uid)
        header = got if got is not None else header
    if header is not None:
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
        answer = line.ask(sample.instance, f'multipart/related; type="application/dicom"; transfer-syntax={syntax}')
        yield find_status("8.7.3.5", "an instance in the syntax that it has", answer, {200})
    answer = line.ask(sample.instance, "image/x-none")
    yield find_status("8.7.5", "an instance as what it cannot be", answer, {406})
    return header


def _check_metadata(line: Line, sample: Sample) -> Generator[Finding, None, dict[str, Any]]:
    """Returns the dataset, empty when there was none."""
    model: dict[str, Any] = {}
    series = f"/studies/{sample.study_uid}/series/{sample.series_uid}"
    for what, place in (("an instance", sample.instance), ("a series", series)):
        answer = line.ask(f"{place}/metadata", JSON)
        yield find_status("10.4.3.1", f"metadata of {what}", answer, {200})
        yield find_equal("10.4.4", f"media type of metadata of {what}", JSON, answer.media_type.name)
        models = answer.read_json()
        yield find_missing("10.4.1.1.2", f"metadata of {what}", models[0] if models else {}, IDENTITY)
        if what == "an instance" and models:
            model = models[0]
            uid = read_value(model, "00080018")
            yield find_equal("10.4.1.1.2", "uid in the metadata", sample.instance_uid, uid)
            meta = sorted(tag for tag in model if tag.startswith("0002"))
            yield find_equal("F.2.1", "File Meta Information in metadata", [], meta)
    answer = line.ask(f"{sample.instance}/metadata", 'multipart/related; type="application/dicom+xml"')
    yield find_status("10.4.4", "metadata as XML", answer, {200})
    return model


def _check_frames(line: Line, sample: Sample, header: Dataset) -> Iterator[Finding]:
    answer = line.ask(f"{sample.instance}/frames/1", OCTETS)
    yield find_status("10.4.3.1", "frame 1, uncompressed", answer, {200})
    if answer.status == 200:
        length = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel", 1))
        bits = length * int(header.BitsAllocated)
        sizes = [len(data) for _, data in answer.read_parts()]
        yield find_equal("10.4.1.1.6", "bytes of frame 1", [(bits + 7) // 8], sizes)
    beyond = line.ask(f"{sample.instance}/frames/100000", OCTETS)
    yield find_status("10.4.1.1.6", "a frame behind the last", beyond, {400, 404})
    for words in ("0", "first"):
        answer = line.ask(f"{sample.instance}/frames/{words}", OCTETS)
        yield find_status("10.4.1.1.6", f"frame {words!r}", answer, {400, 404})


def _check_bulk(line: Line, sample: Sample, model: dict[str, Any]) -> Iterator[Finding]:
    pixels = model.get("7FE00010", {})
    uri = pixels.get("BulkDataURI", "") if isinstance(pixels, dict) else ""
    if not uri:
        yield skip("10.4.1.1.5", "bulk data", "the metadata has no BulkDataURI for the pixels")
    else:
        if "://" not in uri and not uri.startswith("/"):
            uri = f"{sample.instance}/{uri}"
        yield find_status("10.4.1.1.5", "bulk data where its URI says", line.ask(uri, f"{OCTETS}, */*"), {200})


def _check_rendered(line: Line, sample: Sample) -> Iterator[Finding]:
    for kind, mark in (("image/jpeg", b"\xff\xd8"), ("image/png", b"\x89PNG")):
        answer = line.ask(f"{sample.instance}/rendered", kind)
        yield find_status("10.4.1.1.3", f"rendered as {kind}", answer, {200})
        if answer.status == 200:
            got = (answer.media_type.name, answer.body.startswith(mark))
            yield find_equal("8.7.4", f"what is rendered as {kind}", (kind, True), got)
    answer = line.ask(f"{sample.instance}/rendered?window=50", "image/jpeg")
    yield find_status("8.3.5.1.4", "a window that lacks its width", answer, {400})


def _list_kinds(answer: Answer) -> list[str]:
    return [kind.name for kind, _ in answer.read_parts()]


def _read(data: bytes) -> Dataset | None:
    try:
        return dcmread(BytesIO(data), stop_before_pixels=True)
    except Exception:  # noqa: BLE001  whatever a server sends is an answer to be told, not a fault of ours
        return None
