"""POST /routes/try over real sockets: who sends slowly, or much in little, is in nobody's way."""

import socket
from contextlib import ExitStack

import numpy as np

from node.web.pages.routes import AT_ONCE
from tests.node.web.service import BOUNDARY, Service, make_body
from tests.node.web.test_pages import PEERS, ROUTES
from tests.node.web.test_stow import encode, make_study
from tests.series import make_slice
from tests.waiting import wait_until

KIND = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
DEFLATED = "1.2.840.10008.1.2.1.99"


def begin(service):
    """A connection whose body does not go on."""
    head = f"POST /routes/try HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nContent-Type: {KIND}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    connection.sendall(f"{head}--{BOUNDARY}\r\n\r\nsome".encode())
    return connection


def count_begun(service):
    return len(list(service.settings.node.home.glob("trial-*")))


def ask(service, parts):
    return service.ask("POST", "/routes/try", make_body(parts), {"Content-Type": KIND})


def test_a_body_that_does_not_go_on_is_ended_and_leaves_nothing(tmp_path):
    with Service(tmp_path, listen={"idle_timeout": "PT0.3S"}) as service, begin(service) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
        assert wait_until(lambda: count_begun(service) == 0)


def test_while_one_sends_others_try(tmp_path):
    sent = [encode(one) for one in make_study(2)[1]]
    with Service(tmp_path, routes=ROUTES, peers=PEERS) as service, ExitStack() as held:
        for _ in range(AT_ONCE - 1):
            held.enter_context(begin(service))
        assert wait_until(lambda: count_begun(service) == AT_ONCE - 1)
        status, _, text = ask(service, sent)
        assert (status, b"2 files tried" in text) == (200, True)
        held.enter_context(begin(service))
        assert wait_until(lambda: count_begun(service) == AT_ONCE)
        assert ask(service, sent)[0] == 503
    assert count_begun(service) == 0


def test_what_the_door_would_not_inflate_is_not_inflated_here(tmp_path):
    ds = make_slice(np.zeros((4000, 4000), np.int16), (0, 0, 0))
    ds.file_meta.TransferSyntaxUID = DEFLATED
    with Service(tmp_path, routes=ROUTES, peers=PEERS) as service:
        assert ask(service, [encode(ds)])[0] == 400
