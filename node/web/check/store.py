"""Store (STOW-RS): PS3.18 10.5, with a study of our own."""

from collections.abc import Iterator, Sequence
from io import BytesIO

from pydicom import dcmread

from node.web.check.finding import Finding, find_equal, find_missing, find_status
from node.web.check.line import Answer, Line
from node.web.check.search import JSON, NOWHERE, Sample, read_value

BOUNDARY = "wetread-check"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
REFERENCED = {"00081150": "ReferencedSOPClassUID", "00081155": "ReferencedSOPInstanceUID", "00081190": "RetrieveURL"}
FAILED = {"00081150": "ReferencedSOPClassUID", "00081155": "ReferencedSOPInstanceUID", "00081197": "FailureReason"}


def check_store(line: Line, files: Sequence[bytes], sample: Sample) -> Iterator[Finding]:
    """Stores `files`, Part 10 files of one new study, and what is wrong with requests like that; `sample` becomes the
    study that is then on the server."""
    datasets = [dcmread(BytesIO(file), stop_before_pixels=True) for file in files]
    study_uid = str(datasets[0].StudyInstanceUID)
    yield from _check_errors(line, files)
    answer = _post(line, f"/studies/{study_uid}", files)
    yield find_status("10.5.3.1", "store of a study", answer, {200})
    yield find_equal("10.5.4", "media type of the receipt", JSON, answer.media_type.name)
    receipt = (answer.read_json() or [{}])[0]
    items = (receipt.get("00081199") or {}).get("Value") or []
    yield find_missing("I.2", "what the receipt says of an instance", items[0] if items else {}, REFERENCED)
    stored = {read_value(item, "00081155") for item in items}
    yield find_equal("I.2", "instances in the receipt", {str(d.SOPInstanceUID) for d in datasets}, stored)
    failures = (receipt.get("00081198") or {}).get("Value") or []
    yield find_equal("I.2", "failures in the receipt", 0, len(failures))
    yield find_status("10.5.3.1", "the same study again", _post(line, "/studies", files), {200, 202, 409})
    answer = _post(line, f"/studies/{study_uid}", files, "application/dicom+xml")
    yield find_equal("10.5.4", "a receipt as XML", "application/dicom+xml", answer.media_type.name)
    found = line.ask(f"/studies?StudyInstanceUID={study_uid}", JSON).read_json()
    number = read_value(found[0], "00201208") if found else "not found"
    yield find_equal("10.6", "instances that a search finds afterwards", str(len(files)), number)
    sample.study_uid = study_uid


def _check_errors(line: Line, files: Sequence[bytes]) -> Iterator[Finding]:
    answer = line.ask("/studies", JSON, "POST", b"text", Content_Type="text/plain")
    yield find_status("10.5.3.1", "store of text", answer, {415})
    broken = line.ask("/studies", JSON, "POST", b"no boundary at all", Content_Type=RELATED)
    yield find_status("10.5.3.1", "store of a body without boundaries", broken, {400})
    answer = _post(line, "/studies", [b"this is no DICOM"])
    yield find_status("10.5.3.1", "store of what is no DICOM", answer, {400, 409})
    answer = _post(line, f"/studies/{NOWHERE}", files[:1])
    yield find_status("10.5.3.1", "store into another study than its own", answer, {409})
    receipt = (answer.read_json() or [{}])[0]
    items = (receipt.get("00081198") or {}).get("Value") or []
    yield find_missing("I.2", "what the receipt says of a failure", items[0] if items else {}, FAILED)


def _post(line: Line, path: str, files: Sequence[bytes], accept: str = JSON) -> Answer:
    mark = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(mark + file + b"\r\n" for file in files) + f"--{BOUNDARY}--\r\n".encode()
    return line.ask(path, accept, "POST", body, Content_Type=RELATED)
