"""How a manager is spoken to: the address that it answers is obeyed, credentials stay with its server, and what is set
wrong is refused at the start."""

import time

import pytest
from pydantic import ValidationError

from node.config import Settings
from node.errors import PeerRefused, PeerUnreachable
from node.model.workitem import FILTERED, GLOBAL
from node.outbound.performing.channel import Channel
from node.outbound.performing.dimse import open_dimse
from node.outbound.performing.web import open_web
from node.sections import PerformBy
from tests.managers import PlainDoor, PlainWeb, managing
from tests.node.outbound.theatre import Theatre
from tests.ports import free_port
from tests.waiting import wait_until
from tests.workitems import make_progress

UID = "1.2.826.5.1"
PEER = {"ae_title": "BOSS", "address": "127.0.0.1:1"}


@pytest.fixture
def web(tmp_path):
    with managing(PlainWeb, tmp_path) as manager:
        yield manager


def make_settings(manager, **rules):
    peer = {**getattr(manager, "peer", manager), "perform": {"how": "subscribe"} | rules}
    return Settings.model_validate({"peers": {"manager": peer}, "deliver": {"answer_wait": "PT10S"}})


def test_the_content_location_of_the_answer_is_opened_and_no_address_is_built(web, tmp_path, monkeypatch):
    theatre = Theatre(tmp_path / "home", web, free_port(), how="subscribe", every="PT1H")
    hear, told = theatre.worklist.hear, []
    monkeypatch.setattr(theatre.worklist, "hear", lambda *words: (hear(*words), told.append(words)))
    theatre.listen()
    theatre.until(lambda: told and not theatre.worklist.find_heard("manager"))  # the list was looked at once more
    assert web.connected == ["/elsewhere/x7?for=you"]
    before = count_searches(web)
    web.create(UID)
    theatre.until(lambda: web.read(UID).ProcedureStepState == "IN PROGRESS")
    assert count_searches(web) == before, "it was told of"
    theatre.close()


def count_searches(web):
    return sum(method == "GET" and path.startswith("/ups/workitems?") for method, path, _ in web.requests)


@pytest.mark.parametrize(
    ("answered", "opened"),
    [
        ("ws://other.test:81/a?b", "ws://other.test:81/a?b"),
        ("https://other.test/x", "wss://other.test/x"),
        ("/beside/it", "ws://127.0.0.1:{port}/beside/it"),
    ],
)
def test_an_address_may_be_relative_or_of_http(web, answered, opened):
    web.channel = answered
    with open_web("manager", make_settings(web)) as board:
        assert board.subscribe("", "") == opened.format(port=web.peer["dicomweb"].split(":")[2].split("/")[0])


def test_a_subscription_is_for_what_we_ask_for_or_for_all_where_that_is_not_to_be_had(web):
    with open_web("manager", make_settings(web)) as board:
        board.subscribe("AI", "ROOM")
        web.filters = False
        board.subscribe("AI", "ROOM")
    wanted = "WorklistLabel=AI,ScheduledStationNameCodeSequence.CodeValue=ROOM"
    assert web.subscribed == [(FILTERED, "WETREAD", wanted), (GLOBAL, "WETREAD", "")]


def test_an_answer_without_a_place_is_refused_by_name(web):
    web.channel = ""
    with open_web("manager", make_settings(web)) as board, pytest.raises(PeerRefused, match="Content-Location"):
        board.subscribe("", "")


@pytest.mark.parametrize(("host", "is_told"), [("127.0.0.1", True), ("localhost", False)])
def test_who_we_are_is_told_to_the_server_of_the_peer_alone(web, tmp_path, monkeypatch, host, is_told):
    """Its WebSocket is on another port there, or on another server."""
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    web.peer = web.peer | {"web": {"token_variable": "SECRET_TOKEN"}}
    web.channel = web.channel.replace("127.0.0.1", host)
    theatre = Theatre(tmp_path / "home", web, free_port(), how="subscribe")
    theatre.listen()
    assert wait_until(lambda: web.authorized)
    theatre.close()
    assert web.authorized[0] == ("Bearer s3cr3t" if is_told else None)
    assert {headers.get("Authorization") for _, _, headers in web.requests} == {"Bearer s3cr3t"}


def test_a_line_that_breaks_is_opened_again_and_the_list_is_looked_at(web, tmp_path):
    theatre = Theatre(tmp_path / "home", web, free_port(), how="subscribe", every="PT1H")
    theatre.listen()
    theatre.until(lambda: web.events and not theatre.worklist.find_heard("manager"))
    web.drop()
    assert wait_until(lambda: not web.events or len(web.connected) > 1)
    theatre.until(lambda: len(web.connected) > 1)
    theatre.close()


def test_a_frame_that_is_no_event_is_passed_over(web, tmp_path, caplog):
    theatre = Theatre(tmp_path / "home", web, free_port(), how="subscribe")
    channel = Channel("manager", theatre.settings, theatre.worklist)
    for frame in ("", "{", "[]", "{}", '{"00001000": 1}', '{"00001002":{"vr":"US","Value":[77]}}', b"\x00"):
        channel._take(frame)
    assert theatre.worklist.find_heard("manager") == []
    channel._take('{"00001000":{"vr":"UI","Value":["1.2"]},"00001002":{"vr":"US","Value":[3]},"00741204":{"vr":"LO"}}')
    (heard,) = theatre.worklist.find_heard("manager")
    assert (heard.workitem_uid, heard.report, heard.model) == ("1.2", 3, '{"00741204": {"vr": "LO"}}')
    theatre.close()


@pytest.mark.parametrize(("status", "kind"), [(400, PeerRefused), (409, PeerRefused), (401, PeerUnreachable)])
def test_what_time_may_cure_is_told_from_what_it_does_not(web, monkeypatch, status, kind):
    monkeypatch.setattr(web, "answer", lambda *_: (status, {}, []))
    with open_web("manager", make_settings(web)) as board, pytest.raises(kind, match=f"HTTP {status}") as caught:
        board.update(UID, make_progress("10"), "2.25.1")
    assert UID not in str(caught.value)


def test_a_long_list_comes_page_by_page(web):
    for n in range(450):
        web.create(f"1.2.826.9.{n}")
    with open_web("manager", make_settings(web)) as board:
        assert len(board.search("", "")) == 450


def test_by_dimse_what_is_not_there_is_none_and_a_refusal_is_one(tmp_path):
    with managing(PlainDoor, tmp_path, free_port()) as manager, open_dimse("manager", make_settings(manager)) as board:
        assert board.find(UID) is None
        with pytest.raises(PeerRefused, match="0xC307"):
            board.change_state(UID, "IN PROGRESS", "2.25.1")


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ({**PEER, "perform": {"how": "poll", "by": "web"}}, "needs dicomweb"),
        ({"dicomweb": "http://a/b", "perform": {"how": "poll", "by": "dicom"}}, "needs ae_title and address"),
        ({**PEER, "perform": {"how": "poll", "every": "PT0S"}}, "at least PT0.1S"),
        ({**PEER, "perform": {"how": "poll", "label": "A*"}}, "without wildcards"),
        ({**PEER, "perform": {"how": "often"}}, "none"),
    ],
)
def test_what_cannot_be_done_stops_the_start(peer, words):
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate({"peers": {"manager": peer}})


def test_the_wire_is_what_the_peer_has():
    both = make_settings(PEER | {"dicomweb": "http://a/b"}).peers["manager"]
    assert (both.performed_by, both.reports) == (PerformBy.WEB, False)
    assert make_settings(PEER).peers["manager"].reports


def test_an_event_of_a_stranger_or_of_no_kind_is_refused(tmp_path):
    """At the door of a node whose manager is another."""
    with managing(PlainDoor, tmp_path, free_port()) as manager:
        theatre = Theatre(tmp_path / "home", manager, manager._told, how="subscribe")
        theatre.listen()
        manager._tell_us(UID, 77, make_progress("10"))
        assert wait_until(lambda: ("event", UID, 0x0113) in manager.log)
        manager._tell_us(UID, 3, make_progress("10"))
        assert wait_until(lambda: ("event", UID, 0x0000) in manager.log)
        (heard,) = theatre.worklist.find_heard("manager")
        assert (heard.workitem_uid, heard.report) == (UID, 3)
        theatre.close()


def test_nothing_is_asked_where_nothing_is_due(web, tmp_path):
    theatre = Theatre(tmp_path / "home", web, free_port(), every="PT1H")
    now = time.time()
    for n in range(20):
        theatre.performer.tick(now + n)
    assert len(web.requests) == 1
    theatre.close()
