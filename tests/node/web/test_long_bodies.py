"""Bodies of megabytes go past the parser of HTTP: the connection is as good as new for what comes after them."""

import http.client
import json
import socket
import time
from io import BytesIO

import pytest
from pydicom.uid import generate_uid

from node.inbound.assemble import Arrival
from tests.node.web.service import BOUNDARY, Service, make_body
from tests.series import make_series
from tests.waiting import wait_until

KIND = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
CAPABILITIES = b"GET /dicom-web/ HTTP/1.1\r\nHost: localhost\r\nAccept: application/vnd.sun.wadl+xml\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("web"), listen={"min_free_mb": 1}) as running:
        yield running


def connect(service):
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


@pytest.fixture
def line(service):
    with connect(service) as connection:
        yield connection


def make_long_study(count=3):
    """(study uid, body of somewhat more than a megabyte an instance)."""
    study, parts = generate_uid(prefix=None), []
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".1", "FrameOfReferenceUID": study + ".2"}
    for one in make_series((count, 800, 800), **uids):
        out = BytesIO()
        one.save_as(out, enforce_file_format=True)
        parts.append(out.getvalue())
    return study, make_body(parts)


def make_head(body, *more):
    lines = ["POST /dicom-web/studies HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, f"Content-Type: {KIND}", "", ""]).encode()


def read_answer(line):
    """(status, JSON or bytes) of the next answer; nothing of the one after it is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += line.recv(1)
        assert head, "the connection was closed"
    fields = dict(field.lower().split(": ", 1) for field in head.decode().split("\r\n")[1:-2])
    body = b""
    while len(body) < int(fields.get("content-length", "0")):
        body += line.recv(int(fields["content-length"]) - len(body))
    return int(head.split()[1]), json.loads(body) if "json" in fields.get("content-type", "") else body


def count_kept(service, study):
    return len(service.ledger.find_instances(study))


def test_one_after_the_other_over_one_connection(service):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    for count in (2, 3):
        study, body = make_long_study(count)
        connection.request("POST", "/dicom-web/studies", body, {"Content-Type": KIND})
        mine = connection.sock
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.read()
        assert count_kept(service, study) == count
        connection.request("GET", f"/dicom-web/studies/{study}/instances")
        answer = connection.getresponse()
        assert len(json.loads(answer.read())) == count
        assert connection.sock is mine
    connection.close()


def test_a_request_that_comes_with_the_end_of_the_body_is_answered_after_it(service, line):
    study, body = make_long_study()
    line.sendall(make_head(body) + body + CAPABILITIES)
    assert read_answer(line)[0] == 200
    assert count_kept(service, study) == 3
    assert read_answer(line)[0] == 200


def test_in_small_pieces_with_pauses_it_is_the_same_body(service, line):
    study, body = make_long_study(1)
    line.sendall(make_head(body))
    for at in range(0, len(body), 300_000):
        line.sendall(body[at : at + 300_000])
        time.sleep(0.1)
    assert read_answer(line)[0] == 200
    assert count_kept(service, study) == 1


def test_who_waits_to_be_told_so_is_told_to_go_on(service, line):
    study, body = make_long_study(1)
    line.sendall(make_head(body, "Expect: 100-continue"))
    assert read_answer(line)[0] == 100
    line.sendall(body)
    assert read_answer(line)[0] == 200
    assert count_kept(service, study) == 1


def test_who_wants_the_connection_closed_has_it_closed(service, line):
    _, body = make_long_study(1)
    line.sendall(make_head(body, "Connection: close") + body)
    assert read_answer(line)[0] == 200
    assert line.recv(1) == b""


def test_a_sender_that_breaks_off_leaves_nothing_half_written(service, line):
    study, body = make_long_study()
    line.sendall(make_head(body) + body[: len(body) // 2])
    assert wait_until(service.incoming)
    line.close()
    assert wait_until(lambda: not service.incoming())
    assert wait_until(lambda: service.ledger.find_associations(study))
    assert wait_until(lambda: Arrival(*service.ledger.find_associations(study)[0]).how == "aborted")
    assert count_kept(service, study) == 1


def test_a_sender_that_falls_silent_is_told_so(tmp_path):
    _, body = make_long_study(1)
    with Service(tmp_path, listen={"min_free_mb": 1, "idle_timeout": "PT0.5S"}) as hasty, connect(hasty) as line:
        line.sendall(make_head(body) + body[:700_000])
        assert read_answer(line)[0] == 408
        assert line.recv(1) == b""
        assert not hasty.incoming()


def test_what_is_no_multipart_is_refused_before_its_end(service, line):
    body = bytes(4 << 20)
    line.sendall(make_head(body) + body[: 2 << 20])
    status, answer = read_answer(line)
    assert (status, answer["status"]) == (400, 400)
    assert "boundary" in answer["detail"]


def test_another_waits_for_no_long_body(service, line):
    study, body = make_long_study(1)
    line.sendall(make_head(body) + body[:1_000_000])
    assert service.ask("GET", "/dicom-web/studies?limit=1")[0] in (200, 204)
    line.sendall(body[1_000_000:])
    assert read_answer(line)[0] == 200
    assert count_kept(service, study) == 1
