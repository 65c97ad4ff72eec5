"""Priors and missing images are fetched from real archives before a job may run."""

import math
import time
from collections import Counter
from threading import Event, Thread

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE

from node import wiring
from node.config import Settings
from node.inbound.enqueue import Enqueuer
from node.inbound.priors import find_prior_files
from node.inbound.submit import make_submission
from node.ledger.gathering import GATHERED
from node.model.job import Gathering, State
from node.model.study import StudyState
from node.outbound.reactor import hold_reactor
from node.outbound.send import send_files
from node.rounds import keep_going
from tests.flow.archives import OrthancArchive, QrscpArchive
from tests.flow.house import House
from tests.ports import free_port
from tests.series import make_series, write_series

pytestmark = pytest.mark.judge

WAYS = [("orthanc", "move"), ("orthanc", "get"), ("orthanc", "wado"), ("qrscp", "move"), ("qrscp", "get")]
KINDS = {"orthanc": OrthancArchive, "qrscp": QrscpArchive}


class Bell:
    """Nobody hears it: there is no worker in these tests."""

    def ring(self, waiting):
        """Loses a wake-up."""


class Node:
    """The door, the matching and the gathering of a node, on threads of this process."""

    def __init__(self, folder, port, archive, retrieve, gather):
        peer = {"ae_title": archive.title, "address": f"127.0.0.1:{archive.port}", "send": True, "query": True}
        web = f"http://127.0.0.1:{archive.http}/dicom-web" if archive.http else ""
        route = {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}
        self.settings = Settings.model_validate(
            {
                "node": {"listen": f"127.0.0.1:{port}", "home": folder / "home"},
                "listen": {"min_free_mb": 1},
                "completeness": {"quiet": "PT0.3S", "broken": "PT1S"},
                "peers": {"pacs": peer | {"retrieve": retrieve, "dicomweb": web}},
                "routes": [route | {"gather": {"from": ["pacs"], "wait": "PT20S"} | gather}],
            }
        )
        self.ledger, spool = wiring.open_ledger(self.settings), wiring.open_spool(self.settings)
        self._listener = wiring.make_listener(self.settings)
        enqueuer = Enqueuer(self.settings, self.ledger, Bell())
        self._stop = Event()
        runs = [
            lambda: keep_going("matching", enqueuer.close_complete, 0.1, self._stop),
            lambda: wiring.make_gatherer(self.settings, self.ledger, spool).run(self._stop),
            lambda: wiring.make_submitter(self.settings, self.ledger, spool).run(self._stop),
        ]
        self._threads = [Thread(target=run) for run in runs]

    def __enter__(self):
        self._listener.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self._listener.stop()

    @property
    def door(self):
        return ("127.0.0.1", int(self.settings.node.listen.rsplit(":")[-1]))

    def send(self, paths):
        assert not send_files(paths, "MODALITY", self.door, "WETREAD", lambda *_: None).refused

    def wait_for(self, study_uid, is_so, patience=30):
        """The newest job of the study once `is_so` of it."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            jobs = self.ledger.find_jobs(study_uid)
            if jobs and is_so(jobs[0]):
                return jobs[0]
            time.sleep(0.05)
        raise AssertionError(f"waited in vain, jobs: {self.ledger.find_jobs(study_uid)}")

    def wait_for_end_of_askings(self, study_uid, patience=30):
        """Until what comes of the study is no answer to us any more."""
        end = time.monotonic() + patience
        while max((until for *_, until in self.ledger.find_askings(study_uid)), default=math.inf) >= time.time():
            assert time.monotonic() < end, self.ledger.find_askings(study_uid)
            time.sleep(0.05)

    def wait_for_study(self, study_uid, patience=20):
        """The study once it is COMPLETE."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            study = self.ledger.find_study(study_uid)
            if study and study.state == StudyState.COMPLETE:
                return study
            time.sleep(0.05)
        raise AssertionError(f"waited in vain: {study}")


def write_study(folder, day, count=5, **changes):
    """A CT study of `day`; its uid and files."""
    study = generate_uid(prefix=None)
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".1", "FrameOfReferenceUID": study + ".2"}
    changes = {"StudyDate": day, "BodyPartExamined": "CHEST", "PatientID": "P-1"} | uids | changes
    return study, write_series(make_series((count, 16, 18), **changes), folder / study)


@pytest.fixture(scope="module", params=KINDS)
def archive(request, tmp_path_factory):
    """An archive that holds studies of two patients, and the node's port that it knows."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    place = KINDS[request.param](folder, port)
    place.start()
    held = {
        "right": write_study(folder / "files", "20221101"),
        "older": write_study(folder / "files", "20210301"),
        "head": write_study(folder / "files", "20231201", BodyPartExamined="HEAD"),
        "mr": write_study(folder / "files", "20231115", modality="MR"),
        "stranger": write_study(folder / "files", "20231110", PatientID="P-11"),
        "later": write_study(folder / "files", "20240110"),
        "today": write_study(folder / "files", "20240102", count=8),
    }
    for _, paths in held.values():
        place.take(paths[0].parent)
    yield request.param, place, port, held
    place.stop()


def open_node(tmp_path, archive, retrieve, **gather):
    name, place, port, held = archive
    if (name, retrieve) not in WAYS:
        pytest.skip(f"{name} does not speak {retrieve}")
    return Node(tmp_path, port, place, retrieve, gather), held


@pytest.mark.parametrize("retrieve", ["move", "get", "wado"])
def test_the_newest_study_that_is_a_prior_is_here_before_the_job_may_run(archive, retrieve, tmp_path):
    node, held = open_node(tmp_path, archive, retrieve, priors=1, body_part="CHEST")
    today, paths = held["today"]
    right, files = held["right"]
    with node:
        node.send(paths)
        waiting = node.wait_for(today, lambda job: True)
        assert waiting.gathering in {Gathering.ASKING, Gathering.DONE}
        job = node.wait_for(today, lambda job: job.gathering == Gathering.DONE)
        study = node.wait_for_study(right)

    assert job.priors == (right,)
    assert job.notes == ("prior of 14 months before gathered from pacs",)
    found = find_prior_files(job, node.settings, node.ledger)
    assert list(found) == [right]
    assert sorted(dcm_dataset(path) for path in found[right]) == sorted(dcm_dataset(path) for path in files)
    assert (study.reason, node.ledger.find_jobs(right)) == (GATHERED, [])
    assert {"right", "today"} <= {name for name, (uid, _) in held.items() if node.ledger.find_study(uid)}
    for name in ("stranger", "mr", "older", "later"):
        assert node.ledger.find_study(held[name][0]) is None
    assert [one.study_uid for one in node.ledger.find_jobs()] == [today]
    event = next(e for e in node.ledger.find_history(job.id) if e.station == "gather")
    assert event.text == job.notes[0]
    assert "P-1" not in repr(node.ledger.find_history(job.id))


def dcm_dataset(path):
    """The dataset of a file without its meta header, which each sender writes anew."""
    return dcmread(path).to_json()


def test_a_gathered_study_that_is_sent_for_its_own_sake_gets_its_job(archive, tmp_path):
    node, held = open_node(tmp_path, archive, "get", priors=1, body_part="CHEST", within="P3Y")
    right, files = held["right"]
    with node:
        node.send(held["today"][1])
        node.wait_for(held["today"][0], lambda job: job.gathering == Gathering.DONE)
        assert node.wait_for_study(right).reason == GATHERED
        node.wait_for_end_of_askings(right)  # what comes sooner may still be the answer
        node.send(files)
        job = node.wait_for(right, lambda job: job.gathering == Gathering.DONE)

    assert (job.version, job.state) == (1, State.QUEUED)
    assert job.priors == (held["older"][0],)


@pytest.mark.parametrize("retrieve", ["move", "get", "wado"])
def test_what_a_study_lacks_is_fetched_when_its_sender_broke_off(archive, retrieve, tmp_path):
    node, held = open_node(tmp_path, archive, retrieve, missing=True)
    today, paths = held["today"]
    with node:
        send_and_break_off(paths[:3], node.door)
        job = node.wait_for(today, lambda job: job.version == 2 and job.gathering != Gathering.ASKING)

    states = Counter(one.state for one in node.ledger.find_jobs(today))
    assert states == {State.QUEUED: 1, State.CANCELED: 1}
    assert len(node.ledger.find_instances(today, job.series_uids)) == 8
    assert not any("incomplete" in note for note in job.notes)


@pytest.mark.parametrize("retrieve", ["move", "get", "wado"])
def test_a_study_that_is_named_is_fetched_and_read(archive, retrieve, tmp_path):
    node, held = open_node(tmp_path, archive, retrieve, missing=True)
    older, paths = held["older"]
    node.ledger.submit(make_submission(older, "pacs", "chest CT", "", time.time()))
    with node:
        job = node.wait_for(older, lambda job: True)
    (submission,) = node.ledger.find_submissions(older)
    assert submission.answer == f"{len(paths)} of {len(paths)} images of pacs are here"
    assert len(node.ledger.find_instances(older, job.series_uids)) == len(paths)


def send_and_break_off(paths, door):
    """Sends and aborts, as a modality does whose cable is pulled."""
    sender = AE("MODALITY")
    sender.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    association = sender.associate(*door, ae_title="WETREAD")
    with hold_reactor(association):
        for path in paths:
            assert association.send_c_store(dcmread(path)).Status == 0
    association.abort()


def test_a_job_that_requires_a_prior_of_a_silent_archive_refuses_by_name_though_housekeeping_died(tmp_path, make_study):
    house = House(tmp_path)
    text = house.config.read_text()
    text += 'gather = { from = ["old"], priors = 1, wait = "PT6S", required = true }\n[peers.old]\nae_title = "OLD"\n'
    house.config.write_text(text + f'address = "127.0.0.1:{free_port()}"\nquery = true\n')
    house.start()
    try:
        study_uid, _, paths = make_study()
        house.send(paths)
        house.wait_until(lambda: [e for e in house.ledger.find_jobs(study_uid) if e.gathering == Gathering.ASKING], 30)
        house.kill("node.cli keep")
        (job,) = house.finish(study_uid)
    finally:
        house.close()

    assert job.state == State.FAILED
    assert job.reason.startswith("PriorMissing: the route requires a prior; old did not answer in 6 s")
    assert [item.modality for item in house.ledger.find_objects(job.id)] == ["SR"]
