"""Results reach a real Storage SCP, are confirmed by it, and wait for one that is away."""

import time
from threading import Event, Thread

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from node import wiring
from node.config import Settings
from node.demo.pacs import StandInPacs
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.confirm import settle_jobs
from node.outbound.deliver import Deliverer
from node.outbound.outbox import put_objects
from tests.jobs import JOB, add_job
from tests.ports import free_port
from tests.series import make_series


class House:
    """A node's outbound side in a folder, with one encoded job."""

    def __init__(self, folder, port, confirm, **deliver):
        self.settings = Settings.model_validate(
            {
                "node": {"home": folder / "home", "listen": f"127.0.0.1:{free_port()}"},
                "peers": {"pacs": {"ae_title": "PACS", "address": f"127.0.0.1:{port}", "confirm": confirm}},
                "deliver": {"retry_first": "PT0.2S", **deliver},
            }
        )
        self.ledger = SqlLedger(self.settings.ledger_url)
        add_job(self.ledger)
        job = self.ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
        objects = put_objects(self.settings.outbox, job.id, make_series((2, 4, 5)))
        self.ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
        self.deliverer = Deliverer("pacs", self.settings, self.ledger)

    def state(self):
        settle_jobs(self.ledger)
        return self.ledger.get_job(JOB.id).state

    def run_until(self, state, seconds=15.0):
        stop = Event()
        thread = Thread(target=self.deliverer.run, args=(stop,))
        thread.start()
        patience = time.monotonic() + seconds
        while time.monotonic() < patience and self.state() != state:
            time.sleep(0.05)
        stop.set()
        thread.join()
        assert self.state() == state


@pytest.fixture
def pacs(tmp_path):
    archive = StandInPacs(tmp_path / "pacs")
    yield archive
    archive.stop()


@pytest.mark.parametrize("confirm", ["none", "commitment"])
def test_what_the_pacs_holds_is_byte_for_byte_what_was_encoded(tmp_path, pacs, confirm):
    house = House(tmp_path, pacs.start(), confirm)
    house.run_until(State.CONFIRMED)
    for item in house.ledger.find_objects(JOB.id):
        ours, theirs = dcmread(house.settings.outbox / item.path), dcmread(pacs.held[item.sop_instance_uid])
        assert ours.PixelData == theirs.PixelData
        assert list(ours.keys()) == list(theirs.keys())
    assert pacs.stored == 2
    assert {d.state for d in house.ledger.find_deliveries(JOB.id)} == {DeliveryState.KEPT}


def test_a_report_on_a_new_association_confirms_through_the_listener(tmp_path):
    door = free_port()
    archive = StandInPacs(tmp_path / "pacs", report_to=("127.0.0.1", door, "WETREAD"))
    house = House(tmp_path, archive.start(), "commitment")
    settings = house.settings.model_copy(
        update={"node": house.settings.node.model_copy(update={"listen": f"127.0.0.1:{door}"})}
    )
    listener = wiring.make_listener(settings)
    listener.start()
    try:
        house.run_until(State.CONFIRMED)
    finally:
        listener.stop()
        archive.stop()


def test_a_destination_that_is_away_gets_everything_when_it_comes_back(tmp_path):
    port = free_port()
    house = House(tmp_path, port, "commitment")
    house.deliverer.tick(time.time())
    deliveries = house.ledger.find_deliveries(JOB.id)
    assert {d.state for d in deliveries} == {DeliveryState.PENDING}
    assert all(d.attempts == 1 and "PeerUnreachable" in d.answer for d in deliveries)
    assert house.state() == State.ENCODED
    archive = StandInPacs(tmp_path / "pacs")
    archive.start(port)
    try:
        house.run_until(State.CONFIRMED)
    finally:
        archive.stop()


def test_a_peer_that_does_not_take_the_class_fails_the_job_by_name(tmp_path):
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    house = House(tmp_path, server.socket.getsockname()[1], "none")
    try:
        house.run_until(State.FAILED)
    finally:
        server.shutdown()
    assert "PeerRefused: pacs will not take CT: 0x0122" in house.ledger.get_job(JOB.id).reason


def test_a_peer_out_of_resources_is_asked_again(tmp_path):
    answers = [0xA700, 0x0000, 0x0000]
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    handlers = [(evt.EVT_C_STORE, lambda _event: answers.pop(0))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    house = House(tmp_path, server.socket.getsockname()[1], "none")
    try:
        house.run_until(State.CONFIRMED)
    finally:
        server.shutdown()
    assert sorted(d.attempts for d in house.ledger.find_deliveries(JOB.id)) == [1, 2]


def test_what_a_peer_denies_to_hold_is_sent_again(tmp_path, pacs):
    house = House(tmp_path, pacs.start(), "commitment")
    first = house.ledger.find_objects(JOB.id)[0].sop_instance_uid
    honest, lies = pacs._make_report, [True]

    def forget(request):
        if lies.pop() if lies else False:
            pacs.held.pop(first, None)
        return honest(request)

    pacs._make_report = forget
    house.run_until(State.CONFIRMED)
    assert pacs.stored == 3
    assert first in pacs.held


def test_a_destination_that_never_confirms_fails_after_give_up(tmp_path, pacs):
    house = House(tmp_path, pacs.start(), "commitment", give_up="PT3S", commit_wait="PT1S")
    pacs._report = lambda *_: None
    house.run_until(State.FAILED, 30.0)
    assert "never confirmed" in house.ledger.get_job(JOB.id).reason


def test_a_job_without_destinations_is_confirmed_at_once(tmp_path, pacs):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    add_job(ledger, deliver=())
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    objects = put_objects(tmp_path / "outbox", job.id, make_series((1, 4, 5)))
    ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
    settle_jobs(ledger)
    assert ledger.get_job(JOB.id).state == State.CONFIRMED
    assert len(ledger.find_objects(JOB.id)) == 1
