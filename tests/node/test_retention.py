"""What is finished goes when its time is over or the disk is short; what is not finished stays, and nothing is lost."""

import os
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from node.config import Settings
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.ledger.tables import association
from node.model.batch import Batch, Ended, Opened
from node.model.delivery import DeliveryState, ResultObject
from node.model.job import State
from node.model.study import Quarantined, StudyState
from node.orders.book import OrderBook
from node.retention import TRASH_STAYS, Retention
from node.sections import Keep
from tests.jobs import JOB, add_job
from tests.node.dicom.test_request import ORDER
from tests.series import make_series, write_series

DAY = 86400.0
LATER = time.time() + 31 * DAY
MUCH_LATER = time.time() + 91 * DAY


class House:
    """A spool with complete studies of three images each, and retention over it."""

    def __init__(self, folder, **keep):
        self.settings = Settings.model_validate({"node": {"home": folder}, "keep": {"free_gb": 0.0, **keep}})
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.spool = Spool(self.settings.spool)
        self.free_gb = 100.0
        self.retention = self.restart()

    def restart(self):
        return Retention(self.settings, self.ledger, self.spool, lambda: self.free_gb)

    def receive(self, study_uid="1.2.3"):
        recorder = Recorder(self.ledger, self.spool)
        recorder.start()
        receiver = Receiver(self.spool, self.ledger, recorder)
        for number, image in enumerate(make_series((3, 4, 4), StudyInstanceUID=study_uid)):
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.1.{number}"
            (path,) = write_series([image], self.spool.incoming / study_uid / str(number))
            part = self.spool.incoming / f"{study_uid}-{number}.part"
            path.rename(part)
            receiver.admit(part, "SCU")
        recorder.stop()

    def close(self, study_uid="1.2.3", state=State.CONFIRMED):
        """The study COMPLETE with one job in `state`."""
        study = next(s for s in self.ledger.find_studies() if s.study_uid == study_uid)
        job = add_job(self.ledger, id=study_uid.replace(".", "")[-32:].zfill(32), study_uid=study_uid)
        self.ledger.close_study(study, time.time(), "complete", "", [])
        for step in {State.QUEUED: [], State.FAILED: [State.FAILED]}.get(
            state, [State.CLAIMED, State.ENCODED, State.DELIVERED, State.CONFIRMED]
        ):
            job = self.ledger.move_job(job, step, time.time(), "test")
        return job

    def count_files(self):
        return len(list(self.spool.find_kept()))

    def tick(self, now):
        self.retention.tick(now)


def count(folder):
    return len(list(folder.iterdir()))


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_finished_study_goes_when_its_time_is_over(house):
    house.receive()
    house.close()
    house.tick(time.time() + 29 * DAY)
    assert house.count_files() == 3
    house.tick(LATER)
    assert house.count_files() == 0
    assert house.ledger.find_instances("1.2.3") == []
    assert house.ledger.count_instances() == 0
    assert count(house.spool.trash) == 3
    house.tick(LATER + TRASH_STAYS)
    assert count(house.spool.trash) == 0


@pytest.mark.parametrize("state", [None, State.QUEUED])
def test_what_is_not_finished_stays_whatever_its_age_and_the_disk(tmp_path, state):
    house = House(tmp_path, free_gb=50.0)
    house.receive()
    if state is not None:
        house.close(state=state)
    house.free_gb = 0.0
    house.tick(MUCH_LATER)
    assert house.count_files() == 3


def test_a_failed_job_keeps_its_images_longer_even_when_the_disk_is_short(tmp_path):
    house = House(tmp_path, free_gb=50.0)
    house.receive()
    house.close(state=State.FAILED)
    house.free_gb = 0.0
    house.tick(LATER)
    assert house.count_files() == 3
    house.tick(MUCH_LATER)
    assert house.count_files() == 0


def test_a_short_disk_takes_the_oldest_finished_study_first_and_no_more_than_it_must(tmp_path):
    house = House(tmp_path, free_gb=50.0)
    for uid in ("1.2.4", "1.2.5"):
        house.receive(uid)
        house.close(uid)
    house.free_gb = 50.0 - 1e-7
    house.tick(time.time())
    assert [len(house.ledger.find_instances(uid)) for uid in ("1.2.4", "1.2.5")] == [0, 3]
    house.tick(time.time() + 1)  # what lies in trash/ is as good as free
    assert len(house.ledger.find_instances("1.2.5")) == 3


def test_what_comes_again_after_it_went_is_kept_again_and_is_no_news(house):
    house.receive()
    house.close()
    house.tick(LATER)
    house.receive()
    house.tick(time.time() + TRASH_STAYS + 1)
    assert house.count_files() == 3
    assert len(house.ledger.find_instances("1.2.3")) == 3
    (study,) = house.ledger.find_studies()
    assert (study.state, study.version) == (StudyState.COMPLETE, 1)


def test_what_comes_again_at_the_very_moment_it_goes_is_not_lost(house):
    """The door saw the file and said success; then retention moved it; then the row said that it is wanted again."""
    house.receive()
    house.close()
    (study,) = house.ledger.find_finished(LATER, 0.0, 10)
    names = house.ledger.expire_study(study, 0.0, LATER)
    house.receive()
    for name in names:
        house.spool.throw_away(name)
    assert house.count_files() == 0
    house.tick(time.time() + TRASH_STAYS + 1)
    assert house.count_files() == 3
    assert {instance.path for instance in house.ledger.find_instances("1.2.3")} == set(house.spool.find_kept())


def test_a_crash_between_row_and_file_leaves_nothing_behind(house):
    house.receive()
    house.close()
    (study,) = house.ledger.find_finished(LATER, 0.0, 10)
    assert len(house.ledger.expire_study(study, 0.0, LATER)) == 3
    house.restart().tick(LATER)
    assert house.count_files() == 0


def test_an_image_that_arrives_while_its_study_is_taken_stops_it(house):
    house.receive()
    house.close()
    (study,) = house.ledger.find_finished(LATER, 0.0, 10)
    (image,) = make_series((1, 4, 4), StudyInstanceUID="1.2.3")
    path = house.spool.incoming / "late.part"
    write_series([image], house.spool.incoming / "late")[0].rename(path)
    recorder = Recorder(house.ledger, house.spool)
    recorder.start()
    Receiver(house.spool, house.ledger, recorder).admit(path, "SCU")
    recorder.stop()
    assert house.ledger.expire_study(study, 0.0, LATER) == []
    assert house.count_files() == 4


def test_results_of_ended_jobs_leave_the_outbox_and_others_stay(house):
    add_job(house.ledger)
    for name in (JOB.id, "f" * 32):
        folder = house.settings.outbox / name
        folder.mkdir(parents=True)
        (folder / "1.dcm").write_bytes(b"x")
    house.tick(LATER)
    assert [path.name for path in house.settings.outbox.iterdir()] == [JOB.id]


def add_results(house, *job_ids):
    for job_id in job_ids:
        folder = house.settings.outbox / job_id
        folder.mkdir(parents=True)
        (folder / "1.dcm").write_bytes(b"x")


def age_results(house, days):
    for folder in house.settings.outbox.iterdir():
        os.utime(folder, (time.time() - days * DAY,) * 2)


def fail(house, state=None):
    """A FAILED job with one object, its delivery in `state`."""
    job = add_job(house.ledger)
    notice = ResultObject("2.25.1", "1.2.840.10008.5.1.4.1.1.88.34", "SR", f"{job.id}/1.dcm")
    objects = [notice] if state else []
    house.ledger.move_job(job, State.FAILED, time.time(), "run", "TooFewSlices: 2", objects=objects)
    for delivery in house.ledger.find_deliveries(job.id):
        if state != DeliveryState.PENDING:
            house.ledger.move_delivery(delivery, state, "", 0.0)
    add_results(house, job.id)


@pytest.mark.parametrize("state", [None, DeliveryState.KEPT, DeliveryState.REFUSED])
def test_results_of_a_failed_job_stay_as_long_as_its_images(house, state):
    fail(house, state)
    house.tick(LATER)
    assert count(house.settings.outbox) == 1
    house.tick(MUCH_LATER)
    assert count(house.settings.outbox) == 0


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.SENT])
def test_what_a_destination_may_still_get_of_a_failed_job_stays(house, state):
    fail(house, state)
    house.tick(MUCH_LATER)
    assert count(house.settings.outbox) == 1


def test_results_stay_from_the_end_of_their_job_on_not_from_when_they_were_made(house):
    house.receive()
    job = house.close()
    add_results(house, job.id)
    age_results(house, 200)
    house.tick(time.time() + 29 * DAY)
    assert count(house.settings.outbox) == 1
    house.tick(LATER)
    assert count(house.settings.outbox) == 0


def test_associations_of_which_no_image_is_kept_are_forgotten_but_for_the_last_of_each_caller(house):
    opened = [Opened(name, "listen-0", "CT1", at) for name, at in (("a", 1.0), ("b", 2.0))]
    ended = [Ended(name, "released", at) for name, at in (("a", 1.5), ("b", 2.5))]
    house.ledger.record(Batch(opened, [], ended))
    house.tick(time.time())
    with house.ledger._reader.connect() as db:
        assert [row.id for row in db.execute(association.select())] == ["b"]
    assert house.ledger.find_last_calls() == {"CT1": 2.5}


def test_old_quarantine_goes_with_its_row(house):
    (house.spool.quarantine / "a.bin").write_bytes(b"x")
    house.ledger.add_quarantined(Quarantined(time.time(), "quarantine/a.bin", "why", "SCU", ""))
    house.tick(LATER)
    assert len(house.ledger.find_quarantined()) == 1
    house.tick(MUCH_LATER)
    assert house.ledger.find_quarantined() == []
    assert count(house.spool.quarantine) == 0


def test_orders_go_when_their_time_is_over(house):
    book = OrderBook(house.settings.order_book)
    book.keep(replace(ORDER, at=time.time()))
    house.tick(LATER)
    assert book.find(ORDER.accession_number) is not None
    house.tick(MUCH_LATER)
    assert book.find(ORDER.accession_number) is None


def test_the_defaults_are_what_the_documents_say():
    assert Keep().images == timedelta(days=30)
    assert Keep().failed == timedelta(days=90)
