"""Whole files given to a connection by the kernel: what the role's own server does for WADO-RS without TLS."""

import http.client
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from node.web import outlet, protocol
from tests.node.web.service import Service
from tests.series import make_slice
from tests.waiting import wait_until

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SERIES = "/dicom-web/studies/1.2.3.1/series/1.2.3.2"
EDGE = 1500
"""Pixels: an image of 4.5 MB, more than the buffers between two sockets hold of three."""


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A web role that holds three images."""
    monkeypatch.setattr(outlet, "PATIENCE", 0.001)
    with Service(tmp_path) as running:
        images = [make_slice(np.full((EDGE, EDGE), k, np.int16), (0, 0, k), InstanceNumber=k) for k in range(3)]
        for image in images:
            image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
        parts = []
        for image in images:
            image.save_as(tmp_path / "one.dcm", enforce_file_format=True)
            parts.append((tmp_path / "one.dcm").read_bytes())
        assert running.store(parts)[0] == 200
        running.files = parts
        yield running


@pytest.fixture
def given(monkeypatch):
    """How many bytes went by files so far, answer by answer."""
    sizes = []
    real = protocol.FileProtocol._give

    async def note(self, cycle, stretches, size):
        sizes.append(size)
        await real(self, cycle, stretches, size)

    monkeypatch.setattr(protocol.FileProtocol, "_give", note)
    return sizes


def ask(connection, method="GET", path=SERIES):
    connection.request(method, path, headers={"Accept": DICOM})
    answer = connection.getresponse()
    return answer, answer.read()


def test_files_go_byte_for_byte_and_the_connection_serves_on(service, given):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    answers = [ask(connection) for _ in range(2)]
    status, _ = ask(connection, path="/healthz")
    assert status.status == 200
    for answer, body in answers:
        assert int(answer.headers["Content-Length"]) == len(body)
        boundary = answer.headers.get_param("boundary").encode()
        contents = [part.partition(b"\r\n\r\n")[2] for part in body.split(b"\r\n--" + boundary)[1:-1]]
        assert contents == service.files
        assert body.endswith(b"--" + boundary + b"--\r\n")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert given == [len(body) for _, body in answers]


def test_a_head_request_has_no_body(service, given):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    answer, body = ask(connection, "HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > sum(map(len, service.files))
    assert ask(connection)[0].status == 200
    assert len(given) == 1


def test_a_receiver_that_pauses_gets_all_and_holds_no_thread(service, given, monkeypatch):
    waits, real = [], protocol._wait_for

    async def wait(*watched):
        waits.append(watched)
        await real(*watched)

    monkeypatch.setattr(protocol, "_wait_for", wait)
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as slow:
        slow.sendall(f"GET {SERIES} HTTP/1.1\r\nHost: localhost\r\nAccept: {DICOM}\r\n\r\n".encode())
        assert wait_until(lambda: waits)
        assert service.ask("GET", "/healthz")[0] == 200
        got = 0
        while got < given[0]:
            got += len(slow.recv(1 << 20))


def test_a_file_that_is_gone_meanwhile_breaks_the_answer_off(service, monkeypatch):
    waits, real = [], protocol._wait_for

    async def wait(*watched):
        waits.append(watched)
        await real(*watched)

    monkeypatch.setattr(protocol, "_wait_for", wait)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.request("GET", SERIES, headers={"Accept": DICOM})
    answer = connection.getresponse()
    assert wait_until(lambda: waits)
    for name in service.kept():
        (service.spool.root / name).unlink()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    assert service.ask("GET", "/healthz")[0] == 200


def find_open():
    """How many sockets and kept files this process has open."""
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.append(str(descriptor.readlink()))
    return sum(name.startswith("socket:") or name.endswith(".dcm") for name in names)


def test_a_receiver_that_breaks_off_leaves_nothing_open(service, given):
    before = find_open()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as rude:
            rude.sendall(f"GET {SERIES} HTTP/1.1\r\nHost: localhost\r\nAccept: {DICOM}\r\n\r\n".encode())
            rude.recv(1000)
    assert wait_until(lambda: len(given) == 3)
    assert wait_until(lambda: find_open() <= before)
