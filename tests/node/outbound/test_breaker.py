"""A destination that cannot be reached costs one try a wait, is known to all processes, and delays nobody else."""

import io
import socket
import time
from threading import Event

import pytest
from pydicom import dcmread
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from rich.console import Console

from node.doctor import _check_circuits, _check_echo
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.deliver import Deliverer
from node.oversight.metrics import render_metrics
from node.oversight.peers import list_peers
from node.tables import make_peer_rows
from tests.node.outbound.house import House, deaf, on_store, peer, serving
from tests.ports import free_port


def tick_late(house, name="pacs", times=1):
    """A tick when everything is due: the circuit's own wait is over."""
    for _ in range(times):
        house.deliverers[name].tick(time.time() + 3600)


def test_the_circuit_opens_after_three_failures_to_connect(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())})
    tick_late(house, times=2)
    assert not house.circuit().is_open
    tick_late(house)
    assert house.circuit().is_open
    assert house.circuit().failures == 3
    assert house.circuit().next_at > time.time()
    assert "does not answer" in house.circuit().answer


@pytest.fixture
def no_names(monkeypatch):
    """A resolver that knows no name."""

    def resolve(host, *_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("no_names")
def test_a_peer_whose_name_does_not_resolve_is_one_that_cannot_be_reached(tmp_path):
    house = House(tmp_path, {"pacs": peer(104) | {"address": "pacs.test:104"}})
    tick_late(house, times=3)
    assert house.circuit().is_open
    assert house.circuit().answer == "PACS at pacs.test:104: Name or service not known"
    assert {d.state for d in house.deliveries()} == {DeliveryState.PENDING}
    check = _check_echo("peer pacs", house.settings, house.settings.peers["pacs"])
    assert (check.well, check.seen) == (False, "PACS at pacs.test:104: Name or service not known")


def test_a_peer_whose_name_cannot_be_one_is_named(tmp_path):
    house = House(tmp_path, {"pacs": peer(104) | {"address": "pacs..test:104"}})
    tick_late(house)
    assert house.circuit().answer == "PACS at pacs..test:104: 'pacs..test' cannot be a host name"


def test_while_it_is_open_nothing_counts_as_an_attempt_and_one_try_goes_out_a_wait(tmp_path):
    with deaf() as (port, met):
        house = House(tmp_path, {"pacs": peer(port)}, slices=9, answer_wait="PT0.1S")
        tick_late(house, times=3)
        attempts = [d.attempts for d in house.deliveries()]
        assert house.circuit().is_open
        before = len(met)
        house.deliverers["pacs"].tick(time.time())
        assert len(met) == before
        tick_late(house)
        assert len(met) == before + 1
    assert [d.attempts for d in house.deliveries()] == attempts
    assert house.circuit().failures == 4


def test_an_open_circuit_survives_a_restart_and_another_process_sees_it(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())})
    tick_late(house, times=3)
    other = SqlLedger(house.settings.ledger_url)
    assert other.find_circuits()["pacs"] == house.circuit()
    restarted = Deliverer("pacs", house.settings, other)
    restarted.tick(time.time())
    assert other.find_circuits()["pacs"].failures == 3


def test_of_two_processes_one_makes_the_try(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())})
    tick_late(house, times=3)
    later = house.circuit().next_at + 1
    assert house.ledger.claim_try("pacs", later, later + 9)
    assert not SqlLedger(house.settings.ledger_url).claim_try("pacs", later, later + 9)
    assert not house.ledger.claim_try("pacs", later + 8, later + 20)
    assert house.ledger.claim_try("pacs", later + 9, later + 20)


def test_half_open_one_object_goes_and_its_success_closes_the_circuit(tmp_path):
    port, stored = free_port(), []
    house = House(tmp_path, {"pacs": peer(port)}, slices=5)
    tick_late(house, times=3)
    with serving(port=port, handlers=on_store(lambda uid: stored.append(uid) or 0x0000)):
        tick_late(house)
        assert len(stored) == 1
        assert not house.circuit().is_open
        tick_late(house)
    assert len(stored) == 5
    assert house.state() == State.CONFIRMED
    assert house.circuit().heard_at > 0


def test_a_peer_that_takes_associations_but_answers_nothing_opens_it_too(tmp_path):
    quit_now = Event()

    def silent(_uid):
        quit_now.wait(60)
        return 0x0000

    with serving(handlers=on_store(silent)) as port:
        house = House(tmp_path, {"pacs": peer(port)}, slices=3, answer_wait="PT2S", open_circuit_after=2)
        tick_late(house)
        assert (house.circuit().failures, house.circuit().is_open) == (1, False)
        tick_late(house)
        assert house.circuit().is_open
        assert "answers nothing" in house.circuit().answer
        quit_now.set()


def test_a_peer_that_stops_reading_in_the_middle_of_an_object_holds_us_for_a_while_only(tmp_path):
    quit_now, outwaited = Event(), Event()

    def stall(event):
        if isinstance(event.pdu, P_DATA_TF) and not quit_now.wait(60):
            outwaited.set()

    with serving(handlers=[(evt.EVT_PDU_RECV, stall), *on_store(lambda _uid: 0x0000)]) as port:
        house = House(tmp_path, {"pacs": peer(port)}, slices=1, answer_wait="PT0.5S")
        path = house.settings.outbox / house.deliveries()[0].object.path
        dataset = dcmread(path)
        dataset.add_new(0x00091001, "OB", bytes(64 << 20))
        dataset.save_as(path)
        tick_late(house)
        assert not outwaited.is_set()
        quit_now.set()
    assert house.circuit().failures == 1
    assert house.deliveries()[0].state == DeliveryState.PENDING


def test_time_passes_while_the_circuit_is_open(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())}, give_up="PT1S")
    tick_late(house, times=3)
    assert house.state() == State.ENCODED
    time.sleep(1.1)
    tick_late(house)
    assert house.state() == State.FAILED
    assert "gave up: PeerUnreachable" in house.ledger.get_job(house.ids[0]).reason


def test_a_peer_that_takes_connections_and_never_answers_does_not_delay_another(tmp_path):
    with deaf() as (dead, met), serving(title="WELL", handlers=on_store(lambda _uid: 0x0000)) as port:
        well = {"ae_title": "WELL", "address": f"127.0.0.1:{port}"}
        house = House(tmp_path, {"dead": peer(dead), "well": well}, slices=4, answer_wait="PT60S")
        deadline = time.monotonic() + 30
        with house.running():
            while {d.state for d in house.deliveries(destination="well")} != {DeliveryState.KEPT}:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert {d.state for d in house.deliveries(destination="dead")} == {DeliveryState.PENDING}
            assert "dead" not in house.ledger.find_circuits(), "it was given up before the other had all"
            for connection in met:
                connection.shutdown(socket.SHUT_RDWR)


def test_peers_show_the_circuit_and_what_waits(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port(), send=True), "idle": {"dicomweb": "https://h.test/dicom-web"}})
    house.ledger.move_job(house.ledger.get_job(house.ids[0]), State.CANCELED, time.time(), "cancel")
    house.add_job(7, 3)
    tick_late(house, times=3)
    rows = {row.name: row for row in list_peers(house.settings, house.ledger)}
    assert rows["pacs"].direction == "both"
    assert (rows["pacs"].circuit, rows["pacs"].failures, rows["pacs"].waiting) == ("open", 3, 3)
    assert rows["pacs"].oldest_at is not None
    assert rows["idle"].circuit == "closed"
    page = io.StringIO()
    Console(file=page, width=100).print(make_peer_rows(list(rows.values())))
    assert "after 3 failures, next try" in page.getvalue()
    (check,) = _check_circuits(house.ledger)
    assert not check.well
    assert check.what == "circuit pacs"
    metrics = render_metrics(house.ledger, 0.0)
    assert 'wetread_circuit_open{destination="pacs"} 1' in metrics
    assert 'wetread_backlog_oldest_seconds{destination="pacs"}' in metrics


def test_one_file_that_is_gone_holds_nothing_up(tmp_path):
    stored = []
    with serving(handlers=on_store(lambda uid: stored.append(uid) or 0x0000)) as port:
        house = House(tmp_path, {"pacs": peer(port)}, slices=3)
        gone = house.deliveries()[0]
        (house.settings.outbox / gone.object.path).unlink()
        house.deliverers["pacs"].tick(time.time())
    assert len(stored) == 2
    assert "gone from the outbox" in house.deliveries(states=[DeliveryState.REFUSED])[0].answer
