"""An operator has results sent again."""

import time

import pytest
from typer.testing import CliRunner

from node import wiring
from node.cli import app
from node.errors import LostLease, UnknownJob
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.resend import resend
from tests.node.outbound.house import House, on_store, peer, serving
from tests.ports import free_port


def finish(folder, answer, names=("pacs",)):
    """A house whose only job has ended, with what its peer was sent."""
    stored = []
    with serving(handlers=on_store(lambda uid: stored.append(uid) or answer())) as port:
        section = peer(port)
        peers = {name: section | {"ae_title": name.upper()} for name in names}
        house = House(folder, peers)
        for name in names:
            house.deliverers[name].tick(time.time())
        house.state()
    return house, port, stored


def test_a_confirmed_job_goes_again_with_the_same_uids(tmp_path):
    house, port, stored = finish(tmp_path, lambda: 0x0000)
    (job_id,) = house.ids
    assert house.state() == State.CONFIRMED
    assert resend(house.ledger, house.ledger.get_job(job_id), house.settings.outbox) == 2
    assert house.state() == State.ENCODED
    assert {(d.state, d.attempts) for d in house.deliveries()} == {(DeliveryState.PENDING, 0)}
    with serving(port=port, handlers=on_store(lambda uid: stored.append(uid) or 0x0000)):
        house.deliverers["pacs"].tick(time.time())
    assert house.state() == State.CONFIRMED
    assert stored[:2] == stored[2:]
    assert [event.station for event in house.ledger.find_history(job_id)][-3:] == ["resend", "deliver", "confirm"]


def test_a_job_that_a_peer_refused_goes_again_to_it_alone(tmp_path):
    answers = [0x0122, 0x0122, 0x0000, 0x0000]
    house, port, stored = finish(tmp_path, lambda: answers.pop(0), ("archive", "pacs"))
    (job_id,) = house.ids
    assert house.state() == State.FAILED
    assert resend(house.ledger, house.ledger.get_job(job_id), house.settings.outbox, "archive") == 2
    assert {d.state for d in house.deliveries(destination="pacs")} == {DeliveryState.KEPT}
    with serving(port=port, handlers=on_store(lambda uid: stored.append(uid) or 0x0000)):
        for deliverer in house.deliverers.values():
            deliverer.tick(time.time())
    assert house.state() == State.CONFIRMED
    assert house.ledger.get_job(job_id).reason == ""
    assert len(stored) == 6


def test_a_job_that_failed_by_name_stays_failed_while_its_notice_goes_again(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())})
    job = house.ledger.get_job(house.ids[0])
    job = house.ledger.move_job(job, State.FAILED, time.time(), "run", "NotAcquired: a localizer")
    assert resend(house.ledger, job, house.settings.outbox) == 2
    assert house.state() == State.FAILED
    assert house.ledger.get_job(job.id).reason == "NotAcquired: a localizer"
    assert {d.state for d in house.deliveries()} == {DeliveryState.PENDING}


def test_an_open_circuit_is_tried_at_once(tmp_path):
    house, _, _ = finish(tmp_path, lambda: 0x0000)
    for _ in range(3):
        house.ledger.fail_circuit("pacs", time.time(), "away", 3, lambda _failures: 900.0)
    resend(house.ledger, house.ledger.get_job(house.ids[0]), house.settings.outbox)
    assert house.circuit().is_open
    assert house.circuit().next_at <= time.time()


def test_what_cannot_be_sent_again_is_refused_with_the_reason(tmp_path):
    house, _, _ = finish(tmp_path, lambda: 0x0000)
    job, outbox = house.ledger.get_job(house.ids[0]), house.settings.outbox
    with pytest.raises(UnknownJob, match="nothing for archive"):
        resend(house.ledger, job, outbox, "archive")
    (outbox / house.deliveries()[0].object.path).unlink()
    with pytest.raises(UnknownJob, match="1 of its objects are no longer in the outbox"):
        resend(house.ledger, job, outbox)
    other = House(tmp_path / "other", {"pacs": peer(free_port())})
    job = other.ledger.get_job(other.ids[0])
    other.ledger.move_job(job, State.CANCELED, time.time(), "cancel", "an operator")
    with pytest.raises(UnknownJob, match="is CANCELED; only"):
        resend(other.ledger, other.ledger.get_job(job.id), other.settings.outbox)


def test_what_waits_for_a_peer_that_was_away_is_tried_at_once(tmp_path):
    port = free_port()
    house = House(tmp_path, {"pacs": peer(port)})
    (job_id,) = house.ids
    for delivery in house.deliveries():
        house.ledger.move_delivery(delivery, DeliveryState.PENDING, "away", time.time() + 900)
    for _ in range(3):
        house.ledger.fail_circuit("pacs", time.time(), "away", 3, lambda _failures: 900.0)
    stored = []
    with serving(port=port, handlers=on_store(lambda uid: stored.append(uid) or 0x0000)):
        house.deliverers["pacs"].tick(time.time())
        assert stored == []
        assert resend(house.ledger, house.ledger.get_job(job_id), house.settings.outbox) == 2
        house.deliverers["pacs"].tick(time.time())
    assert len(stored) == len(set(stored)) == 2
    assert house.state() == State.CONFIRMED
    assert "resend" in [event.station for event in house.ledger.find_history(job_id)]


def test_what_was_sent_and_is_not_confirmed_is_not_sent_twice(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())})
    for delivery in house.deliveries():
        house.ledger.move_delivery(delivery, DeliveryState.SENT, "0x0000", time.time() + 900)
    with pytest.raises(UnknownJob, match="all of it was sent"):
        resend(house.ledger, house.ledger.get_job(house.ids[0]), house.settings.outbox)


def test_two_operators_do_not_both_send_it(tmp_path):
    house, _, _ = finish(tmp_path, lambda: 0x0000)
    job = house.ledger.get_job(house.ids[0])
    resend(house.ledger, job, house.settings.outbox)
    with pytest.raises(LostLease):
        resend(house.ledger, job, house.settings.outbox)


def test_the_commands_do_it_and_show_it(tmp_path, monkeypatch):
    house, port, _ = finish(tmp_path, lambda: 0x0000)
    (tmp_path / "wetread.toml").write_text(
        f'[node]\nhome = "{tmp_path}/home"\n[peers.pacs]\nae_title = "PACS"\naddress = "127.0.0.1:{port}"\n'
    )
    monkeypatch.setenv("WETREAD_CONFIG", str(tmp_path / "wetread.toml"))
    asked = CliRunner().invoke(app, ["resend", house.ids[0]])
    assert "2 objects will be sent again" in asked.output, asked.exception
    shown = CliRunner().invoke(app, ["peers"]).output
    assert "2 to send, 0 to confirm" in shown
    assert "closed" in shown
    assert '"waiting": 2' in CliRunner().invoke(app, ["peers", "--json"]).output
    assert wiring.open_ledger(house.settings).get_job(house.ids[0]).state == State.ENCODED
