"""The wall clock of a whole node is set by days while it works: nothing is lost, doubled or stuck, and nothing waits
for days. libfaketime sets it for all roles at one moment; the monotonic clock goes on, as on a real machine."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from pydicom import dcmread
from pynetdicom import AE

from node.model.delivery import DeliveryState
from node.model.job import FINAL, State
from node.model.study import StudyState
from node.supervisor.broker import Broker
from tests.flow.clocks import DAY, WallClock
from tests.flow.house import House

TOLD = "the system clock was set by"


class TimedHouse(House):
    """Its roles see the clock that the test sets; the broker, the test and the PACS do not. Studies are quiet after
    2 s, leases 20 s long. Without the web role and the supervisor: who reads a clock by libfaketime reads a file."""

    def __init__(self, folder):
        super().__init__(folder)
        self.clock, self.ahead = WallClock(folder / "plugin"), 0
        text = self.config.read_text().replace('lease = "PT4S"', 'lease = "PT20S"')
        self.config.write_text(text.replace('quiet = "PT1S"', 'quiet = "PT2S"'))
        self.roles = {}

    def start(self):
        self.pacs.start(self.pacs_port)
        broker = Broker(self.settings.node.home)
        self.roles["broker"] = subprocess.Popen(broker.command())
        self.environment |= self.clock.environment | {"WETREAD_QUEUE__URL": broker.url}
        for role in ("keep", "listen", "work"):
            self.start_role(role)
        self.wait_for_door()
        self.wait_until((self.settings.node.home / "clock").exists, 60)  # housekeeping looks from now on

    def start_role(self, role):
        log = (self.folder / "node.log").open("ab")
        command = [sys.executable, "-m", "node.cli", role]
        self.roles[role] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def close(self):
        for role in reversed(self.roles):
            self.roles[role].terminate()
            self.roles[role].wait(60)
        self.process = self.roles["broker"]
        super().close()

    def jump(self, ahead):
        """The clock is set, and housekeeping has noticed."""
        if ahead != self.ahead:
            before = self.count_told()
            self.clock.set(ahead)
            self.ahead = ahead
            self.wait_until(lambda: self.count_told() > before, 30)

    def count_told(self):
        return (self.folder / "node.log").read_text().count(TOLD)

    def find(self, study_uid):
        return next((one for one in self.ledger.find_studies() if one.study_uid == study_uid), None)

    def expect_one_result_set(self, study_uid):
        """Of one version of the study, by one job that ran once."""
        (job,) = self.finish(study_uid)
        assert (job.state, job.attempt) == (State.CONFIRMED, 1), job.reason
        assert self.find(study_uid).version == 1
        assert [item.modality for item in self.ledger.find_objects(job.id)] == ["SEG", "SR"]
        assert len(self.received(study_uid)) == 2
        return job


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = TimedHouse(tmp_path_factory.mktemp("house"))
    home.start()
    yield home
    home.close()


@contextmanager
def open_association(house, files):
    ae = AE("TEST")
    images = [dcmread(path) for path in files]
    ae.add_requested_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", house.door, ae_title="WETREAD")
    assert association.is_established
    yield lambda some: [association.send_c_store(image).Status for image in images[some]]
    association.release()


def test_at_every_station_a_clock_set_by_days_loses_doubles_and_delays_nothing(house, make_study):
    house.pacs.stop()
    house.wait_file.write_text("60")
    study, _, files = make_study()
    other, _, others = make_study(folder="other")
    with open_association(house, files) as store:
        assert set(store(slice(0, 6))) == {0}
        house.send(others)
        house.wait_until(lambda: house.find(study) and house.find(other), 30)
        house.jump(DAY)  # one arrives, one is in its quiet period
        house.wait_until(lambda: house.find(other).state == StudyState.COMPLETE, 30)
        assert house.find(study).state == StudyState.RECEIVING
        assert set(store(slice(6, None))) == {0}
    house.jump(-DAY)  # in its quiet period
    house.wait_until(lambda: house.ledger.find_jobs(other, [State.CLAIMED]), 30)
    for ahead in (DAY, -DAY, 0):  # a job runs
        house.jump(ahead)
    house.wait_file.unlink()
    (tried,) = house.wait_until(lambda: find_tried(house, other, 0), 60)
    house.jump(2 * DAY)  # the PACS is away; `deliver.give_up` is three days, see test_clock.py of the node for more
    house.wait_until(lambda: find_tried(house, other, tried.attempts), 60)
    assert not house.ledger.find_jobs(states=list(FINAL))
    house.jump(-2 * DAY)
    house.pacs.start(house.pacs_port)
    for uid in (study, other):
        house.expect_one_result_set(uid)
    assert house.find(study).evidence.startswith("complete: associations 1 released")


def find_tried(house, study, attempts):
    """[the delivery of its segmentation] once it was tried more often than that, or its circuit was."""
    jobs = house.ledger.find_jobs(study)
    found = [one for job in jobs for one in house.ledger.find_deliveries(job.id, states=[DeliveryState.PENDING])]
    failures = house.ledger.find_circuits().get("pacs")
    tried = [one for one in found if one.attempts > 0 and failures is not None and failures.failures > attempts]
    return tried[:1]
