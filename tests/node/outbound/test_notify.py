"""A peer is told which results are to be had, once they are kept, again and again until it takes the notice."""

import time

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import evt

from node import wiring
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION
from node.ledger import SqlLedger
from node.model.job import State
from node.outbound.confirm import settle_jobs
from node.outbound.notify import Notifier
from tests.node.outbound.house import CT, House, deaf, peer, serving
from tests.ports import free_port
from tests.waiting import wait_until

RIS = "ris"


class Office:
    """An SCP of notifications. statuses: of its answers, the last one for ever."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.came = []

    def take(self, event):
        uid, told = str(event.request.AffectedSOPInstanceUID), Dataset()
        self.came.append((uid, event.attribute_list))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        told.Status = status
        return told, None

    def serving(self, port=0):
        handlers = [(evt.EVT_N_CREATE, self.take)]
        return serving((INSTANCE_AVAILABILITY_NOTIFICATION,), port, handlers, title="RIS")


def make_house(folder, pacs_port, ris_port, **deliver):
    """A node whose results go to a PACS and are told to a RIS."""
    house = House(folder, {"pacs": peer(pacs_port)}, **deliver)
    told = {"ae_title": "RIS", "address": f"127.0.0.1:{ris_port}", "availability": True}
    peers = house.settings.peers | {RIS: type(house.settings.peers["pacs"]).model_validate(told)}
    house.settings = house.settings.model_copy(update={"peers": peers})
    house.notifier = Notifier(RIS, house.settings, house.ledger)
    return house


def deliver(house):
    """The PACS takes all; the job is CONFIRMED."""
    house.deliverers["pacs"].tick(time.time())
    settle_jobs(house.ledger, [RIS])
    assert house.ledger.get_job(house.ids[0]).state == State.CONFIRMED


def told(house):
    return [event.text for event in house.ledger.find_history(house.ids[0]) if event.station == "notify"]


@pytest.fixture
def pacs():
    with serving((CT,), handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)]) as port:
        yield port


def test_what_the_pacs_keeps_is_told_with_its_classes_series_and_place(tmp_path, pacs):
    office = Office(0x0000)
    with office.serving() as port:
        house = make_house(tmp_path, pacs, port)
        house.notifier.tick(time.time())
        assert office.came == []  # nothing is kept yet
        deliver(house)
        house.notifier.tick(time.time())
        house.notifier.tick(time.time())
    ((uid, notice),) = office.came
    assert uid.startswith("2.25.")
    assert notice.StudyInstanceUID == "1.2.3.0"
    assert list(notice.ReferencedPerformedProcedureStepSequence) == []
    sent = [dcmread(house.settings.outbox / one.object.path) for one in house.deliveries()]
    (series,) = notice.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == sent[0].SeriesInstanceUID
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [d.SOPInstanceUID for d in sent]
    for item in series.ReferencedSOPSequence:
        assert (item.ReferencedSOPClassUID, item.InstanceAvailability, item.RetrieveAETitle) == (CT, "ONLINE", "PACS")
    assert told(house) == ["ris was told that 2 objects are available"]
    assert house.ledger.find_notices(RIS, time.time(), 9) == []
    house.ledger.close()


def test_another_node_takes_our_notices_at_its_door(tmp_path, pacs):
    other = House(tmp_path / "other", {"pacs": peer(pacs)}, jobs=0)
    listener = wiring.make_listener(other.settings)
    port = listener.start()
    house = make_house(tmp_path / "ours", pacs, port)
    ris = house.settings.peers[RIS].model_copy(update={"ae_title": "WETREAD"})
    house.settings = house.settings.model_copy(
        update={
            "peers": house.settings.peers | {RIS: ris},
            "node": house.settings.node.model_copy(update={"ae_title": "US"}),
        }
    )
    deliver(house)
    Notifier(RIS, house.settings, house.ledger).tick(time.time())
    assert other.ledger.tally("1.2.3.0").announced == 2
    listener.stop()
    other.ledger.close()
    house.ledger.close()


@pytest.mark.parametrize("status", [0x0111, 0x0107, 0x0116])
def test_a_duplicate_and_a_warning_end_it(tmp_path, pacs, status):
    office = Office(status)
    with office.serving() as port:
        house = make_house(tmp_path, pacs, port)
        deliver(house)
        house.notifier.tick(time.time())
    assert house.ledger.find_notices(RIS, time.time() + 9, 9) == []
    house.ledger.close()


def test_a_notice_that_is_refused_is_sent_again_under_the_same_uid_after_a_growing_pause(tmp_path, pacs):
    office = Office(0x0110, 0x0110, 0x0000)
    with office.serving() as port:
        house = make_house(tmp_path, pacs, port, retry_first="PT10S")
        deliver(house)
        pauses = []
        for _ in range(2):
            house.notifier.tick(time.time() + 60)
            (notice,) = house.ledger.find_notices(RIS, time.time() + 60, 9)
            pauses.append(notice.next_at - time.time())
        house.notifier.tick(time.time() + 60)
    assert len({uid for uid, _ in office.came}) == 1 and len(office.came) == 3
    assert 5.0 < pauses[0] < pauses[1] < 25.0
    assert len(told(house)) == 1
    house.ledger.close()


def test_a_peer_that_is_away_is_told_when_it_comes_back_even_by_another_process(tmp_path, pacs):
    port, office = free_port(), Office(0x0000)
    house = make_house(tmp_path, pacs, port)
    deliver(house)
    house.notifier.tick(time.time())
    assert house.circuit(RIS).failures == 1
    again = SqlLedger(house.settings.ledger_url)
    with office.serving(port):
        notifier = Notifier(RIS, house.settings, again)
        assert wait_until(lambda: notifier.tick(time.time()) or office.came)
    assert told(house) == ["ris was told that 2 objects are available"]
    again.close()
    house.ledger.close()


def test_a_peer_that_never_answers_is_given_up_in_time_and_delivery_is_not_delayed(tmp_path, pacs):
    with deaf() as (port, _):
        house = make_house(tmp_path, pacs, port, give_up="PT0S")
        deliver(house)
        house.notifier.tick(time.time())
    assert house.ledger.find_notices(RIS, time.time() + 9999, 9) == []
    assert told(house)[0].startswith("gave up telling ris what is available: RIS at 127.0.0.1")
    house.ledger.close()


def test_a_peer_that_takes_no_notices_is_told_by_name(tmp_path, pacs):
    with serving((CT,), title="RIS") as port:
        house = make_house(tmp_path, pacs, port)
        deliver(house)
        house.notifier.tick(time.time())
    (notice,) = house.ledger.find_notices(RIS, time.time() + 9, 9)
    assert notice.attempts == 1
    house.ledger.close()


def test_what_is_sent_again_is_told_again_as_another_notice(tmp_path, pacs):
    office = Office(0x0000)
    with office.serving() as port:
        house = make_house(tmp_path, pacs, port)
        deliver(house)
        house.notifier.tick(time.time())
        job = house.ledger.get_job(house.ids[0])
        house.ledger.resend(job, ["pacs"], time.time(), "an operator")
        house.notifier.tick(time.time())
        assert len(office.came) == 1
        deliver(house)
        house.notifier.tick(time.time())
    assert len({uid for uid, _ in office.came}) == 2
    house.ledger.close()


def test_results_that_stay_in_the_outbox_are_told_to_nobody(tmp_path, pacs):
    house = make_house(tmp_path, pacs, 1)
    job = house.ledger.get_job(house.ids[0])
    with house.ledger._engine.begin() as db:
        db.exec_driver_sql("UPDATE job SET deliver = '[]'")
        db.exec_driver_sql("DELETE FROM delivery")
    settle_jobs(house.ledger, [RIS])
    assert house.ledger.get_job(job.id).state == State.CONFIRMED
    assert house.ledger.find_notices(RIS, time.time() + 9, 9) == []
    house.ledger.close()


def test_what_is_on_its_way_again_is_told_of_when_it_has_arrived(tmp_path, pacs):
    office = Office(0x0000)
    with office.serving() as port:
        house = make_house(tmp_path, pacs, port)
        deliver(house)
        house.ledger.resend(house.ledger.get_job(house.ids[0]), ["pacs"], time.time(), "an operator")
        house.notifier.tick(time.time())
        assert office.came == []
        deliver(house)
        house.notifier.tick(time.time())
    assert len(office.came) == 1
    assert told(house)[-1] == "ris was told that 2 objects are available"
    house.ledger.close()
