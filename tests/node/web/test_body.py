"""Bodies of requests are read within a bound, and whoever breaks off is answered by nobody's traceback."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.web.app import make_web
from node.web.body import read_bounded, read_form
from node.web.refusal import Refusal


def make_request(*messages):
    left = list(messages)

    async def receive():
        return left.pop(0)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def piece(body, *, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_short_body_is_read_whole():
    assert asyncio.run(read_bounded(make_request(piece(b"ab"), piece(b"cd", more=False)), 4)) == b"abcd"


@pytest.mark.parametrize(
    ("messages", "status"),
    [((piece(b"abc"), piece(b"de")), 413), ((piece(b"abc"), {"type": "http.disconnect"}), 400)],
    ids=["too long", "broken off"],
)
def test_what_is_too_long_or_breaks_off_is_refused_and_its_connection_ends(messages, status):
    with pytest.raises(Refusal) as caught:
        asyncio.run(read_bounded(make_request(*messages), 4))
    assert caught.value.status == status
    assert caught.value.headers["Connection"] == "close"


def test_a_form_is_its_first_values_and_what_is_no_form_is_refused():
    form = make_request(piece(b"a=1&b=2+3&a=9", more=False))
    assert asyncio.run(read_form(form)) == {"a": "1", "b": "2 3"}
    with pytest.raises(Refusal, match="cannot be read"):
        asyncio.run(read_form(make_request(piece(b"a=\xff", more=False))))


def test_nobody_is_let_in_by_a_websocket(tmp_path):
    settings = Settings.model_validate({"node": {"home": tmp_path, "listen": "127.0.0.1:1"}, "routes": []})
    ledger = SqlLedger(settings.ledger_url)
    client = TestClient(make_web(settings, ledger, Spool(settings.spool, 0)), base_url="http://localhost")
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/"):
        pass
    assert caught.value.code == 1008
    ledger.close()
