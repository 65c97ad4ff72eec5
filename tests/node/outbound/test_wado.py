"""A DICOMweb server that errs is told by name, and nobody is told whom we asked for."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from node.config import Settings
from node.errors import CannotUnderstand, OutOfResources, PeerRefused, PeerUnreachable
from node.model.archive import FoundInstance
from node.outbound.wado import WebArchive

MULTIPART = 'multipart/related; type="application/dicom"; boundary=b0'
BODY = b"--b0\r\nContent-Type: application/dicom\r\n\r\none\r\n--b0\r\n\r\ntwo\r\n--b0--\r\n"
STUDY = {
    "0020000D": {"vr": "UI", "Value": ["1.2.8"]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080020": {"vr": "DA", "Value": ["20230901"]},
    "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
}


@pytest.fixture
def serve():
    """serve(status, content type, body, claimed length) -> an archive whose server answers so to everything."""
    servers, over = [], Event()

    def serve(status, kind, body, length=None, hangs=False):
        asked = []

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers))
                if hangs:
                    over.wait(60)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        peer = {"dicomweb": f"http://127.0.0.1:{server.server_port}/rs/", "query": True, "retrieve": "wado"}
        return WebArchive("web", Settings.model_validate({"peers": {"web": peer}})), asked

    yield serve
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(archive, patience=5.0):
    return archive.find_studies("P-1", ("20210101", "20240101"), "CT", time.monotonic() + patience)


def fetch(archive, sink, whole=True):
    some = [FoundInstance("1.2.8.1.1", ""), FoundInstance("1.2.8.1.2", "")]
    archive.fetch("1.2.8", "1.2.8.1", some, sink, time.monotonic() + 5, whole=whole)


def test_an_answer_is_read_and_the_question_was_for_the_patient_and_the_dates(serve):
    archive, asked = serve(200, "application/dicom+json", json.dumps([STUDY]).encode())
    (study,) = ask(archive)
    assert (study.study_uid, study.patient_id, study.date, study.modalities) == (
        "1.2.8",
        "P-1",
        "20230901",
        ("CT", "SR"),
    )
    assert asked[0][0].startswith("/rs/studies?PatientID=P-1&StudyDate=20210101-20240101&ModalitiesInStudy=CT")
    assert "P-1" not in repr(study)


def test_a_server_without_matches_has_none(serve):
    assert ask(serve(204, "text/plain", b"")[0]) == []
    assert ask(serve(200, "application/dicom+json", b"")[0]) == []


@pytest.mark.parametrize(
    ("status", "kind", "body", "error", "words"),
    [
        (500, "text/html", b"P-1 is bad", PeerRefused, "web answers QIDO-RS with HTTP 500"),
        (302, "text/html", b"", PeerRefused, "web answers QIDO-RS with HTTP 302"),
        (200, "text/html", b"<html>P-1</html>", PeerRefused, "web answers QIDO-RS with what is no DICOM JSON"),
        (200, "application/dicom+json", b'["P-1"]', PeerRefused, "web answers QIDO-RS with what is no DICOM JSON"),
    ],
)
def test_an_answer_that_is_none_is_named_without_the_patient(serve, status, kind, body, error, words):
    with pytest.raises(error) as caught:
        ask(serve(status, kind, body)[0])
    assert str(caught.value) == words


def test_a_server_that_is_silent_or_gone_is_unreachable(serve):
    archive, _ = serve(200, "application/dicom+json", b"[]", hangs=True)
    with pytest.raises(PeerUnreachable, match="web does not answer QIDO-RS"):
        ask(archive, patience=0.5)
    archive._root = "http://127.0.0.1:9/rs"
    with pytest.raises(PeerUnreachable, match="ConnectError"):
        ask(archive)


def test_every_part_comes_in(serve):
    archive, asked = serve(200, MULTIPART, BODY)
    came = []
    fetch(archive, lambda pieces: came.append(b"".join(pieces)))
    assert came == [b"one", b"two"]
    assert asked[0][0] == "/rs/studies/1.2.8/series/1.2.8.1"
    assert "transfer-syntax=*" in asked[0][1]["Accept"]


def test_single_instances_are_asked_for_one_by_one(serve):
    archive, asked = serve(200, MULTIPART, BODY)
    fetch(archive, b"".join, whole=False)
    assert [path.rsplit("/", 2)[1:] for path, _ in asked] == [["instances", "1.2.8.1.1"], ["instances", "1.2.8.1.2"]]


def test_a_part_that_is_refused_does_not_keep_out_the_others(serve):
    came = []

    def sink(pieces):
        came.append(b"".join(pieces))
        raise CannotUnderstand("not this one")

    fetch(serve(200, MULTIPART, BODY)[0], sink)
    assert came == [b"one", b"two"]


def test_where_there_is_no_room_for_one_part_the_others_are_not_fetched(serve):
    came = []

    def sink(pieces):
        came.append(b"".join(pieces))
        raise OutOfResources("no room")

    with pytest.raises(OutOfResources):
        fetch(serve(200, MULTIPART, BODY)[0], sink)
    assert came == [b"one"]


def test_a_transfer_that_breaks_off_is_an_error(serve):
    for length in (len(BODY), 20):
        archive, _ = serve(200, MULTIPART, BODY[:40] if length > 40 else BODY[:20], length)
        with pytest.raises(PeerUnreachable, match="WADO-RS"):
            fetch(archive, b"".join)


def test_what_is_no_multipart_is_refused(serve):
    with pytest.raises(PeerRefused, match="no multipart/related"):
        fetch(serve(200, "application/dicom", b"DICM")[0], b"".join)
