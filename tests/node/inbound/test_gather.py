"""Gathering from archives that do not do as they should: a real AE that ignores, refuses or stays silent."""

import time
from dataclasses import replace
from threading import Event

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, StoragePresentationContexts, evt

from node import wiring
from node.config import Settings
from node.errors import OutOfResources, PriorMissing
from node.inbound.errand import GRACE
from node.inbound.gather import AT_ONCE, with_gathering
from node.inbound.priors import check_priors
from node.ledger.gathering import NEVER
from node.model.job import Gathering, State
from node.outbound.retrieve import DimseArchive
from node.rounds import keep_going
from tests.jobs import JOB, add_study
from tests.series import make_series

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
CT = "1.2.840.10008.5.1.4.1.1.2"
TODAY = "1.2.3.1"


class OddArchive:
    """Answers every question with all that it has, whatever was asked. move: the status of its answer to C-MOVE.
    patience: seconds before it answers at all. copies: how often it repeats each answer. withheld: a study that it
    has and does not give."""

    def __init__(self, slices, move=0xA801, patience=0.0, copies=1, withheld=""):
        self._slices, self._move, self._patience, self._copies = slices, move, patience, copies
        self._withheld = withheld
        self.asked = []
        entity = AE("ODD")
        for uid in (FIND, MOVE, GET):
            entity.add_supported_context(uid)
        entity.add_supported_context("1.2.840.10008.1.1")
        for context in StoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._refuse), (evt.EVT_C_GET, self._give)]
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def stop(self):
        self._server.shutdown()

    def _find(self, event):
        time.sleep(self._patience)
        level = event.identifier.QueryRetrieveLevel
        self.asked.append(event.identifier)
        for one in self._slices * self._copies:
            answer = Dataset()
            answer.QueryRetrieveLevel = level
            for keyword in event.identifier.dir():
                if keyword in one:
                    answer[keyword] = one[keyword]
            answer.ModalitiesInStudy = one.Modality
            yield 0xFF00, answer

    def _refuse(self, event):
        yield (None, None) if self._move == 0xA801 else ("127.0.0.1", 9)
        yield 0
        yield self._move, None

    def _give(self, event):
        wanted = [one for one in self._slices if one.SeriesInstanceUID == event.identifier.SeriesInstanceUID]
        yield len(wanted)
        if event.identifier.StudyInstanceUID == self._withheld:
            yield 0xA701, None
            return
        for one in wanted:
            yield 0xFF00, one


class Bench:
    """A job that waits in a ledger of its own, and who gathers for it."""

    def __init__(self, folder, port, retrieve="get", **gather):
        route = {"name": JOB.route, "pipeline": "lung-seg"}
        peer = {"ae_title": "ODD", "address": f"127.0.0.1:{port}", "query": True, "retrieve": retrieve, "send": True}
        rules = {"from": ["odd"], "priors": 1, "wait": "PT30S"} | gather
        self.settings = Settings.model_validate(
            {"node": {"home": folder}, "listen": {"min_free_mb": 1}, "peers": {"odd": peer}}
            | {"routes": [route | {"gather": rules}]}
        )
        self.ledger, self.spool = wiring.open_ledger(self.settings), wiring.open_spool(self.settings)
        self.gatherer = wiring.make_gatherer(self.settings, self.ledger, self.spool)
        self.door = self.gatherer._door
        self.door.start()
        self.job = replace(JOB, study_uid=TODAY, series_uids=(), gathering=Gathering.ASKING, ready_at=1e12)

    def add(self, slices):
        """Images that came in at the door, and their study's job."""
        with self.door.open("MODALITY", slices[0].StudyInstanceUID) as take:
            for one in slices:
                path = self.settings.node.home / "one.dcm"
                one.save_as(path, enforce_file_format=True)
                take([path.read_bytes()])
        study = self.ledger.find_study(slices[0].StudyInstanceUID)
        jobs = [replace(self.job, created_at=time.time())] if study.study_uid == TODAY else []
        assert self.ledger.close_study(study, time.time(), "complete", "", jobs)

    def gather(self, patience=20):
        """The job when it waits no more."""
        stop, end = Event(), time.monotonic() + patience

        def step(now):
            self.gatherer.tick(now)
            if self.ledger.get_job(self.job.id).gathering != Gathering.ASKING or time.monotonic() > end:
                stop.set()

        keep_going("gathering", step, 0.02, stop)
        self.door.stop()
        return self.ledger.get_job(self.job.id)


@pytest.fixture
def run(tmp_path):
    """run(slices at the archive, changes) -> the settled job, the bench, the archive."""
    archives = []

    def run(held, today=None, own=None, odd=None, **gather):
        archive = OddArchive(held, **(odd or {}))
        archives.append(archive)
        bench = Bench(tmp_path, archive.port, **gather)
        bench.add(today or make_study(TODAY, "20240102"))
        if own:
            bench.add(own)
        return bench.gather(), bench, archive

    yield run
    for archive in archives:
        archive.stop()


def make_study(uid, day, **changes):
    uids = {"StudyInstanceUID": uid, "SeriesInstanceUID": uid + ".1", "FrameOfReferenceUID": uid + ".2"}
    return make_series((3, 4, 4), StudyDate=day, **(uids | changes))


def test_an_archive_that_ignores_what_it_is_asked_gives_nobody_elses_images(run):
    held = [
        *make_study("1.2.4", "20231201", PatientID="P-10"),
        *make_study("1.2.5", "20240301"),
        *make_study("1.2.6", "20100101"),
        *make_study("1.2.7", "20231101", modality="MR"),
        *make_study("1.2.8", "20230901"),
    ]
    job, bench, archive = run(held)
    assert (job.priors, job.gathering) == (("1.2.8",), Gathering.DONE)
    assert job.notes == ("prior of 4 months before gathered from odd",)
    assert {study.study_uid for study in bench.ledger.find_studies()} == {TODAY, "1.2.8"}
    assert archive.asked[0].PatientID == "P-1"
    assert archive.asked[0].StudyDate == "20210102-20240102"
    # It answers with every series for each study: only what lay in the study that was asked for is a prior.
    assert len(bench.ledger.find_instances("1.2.8")) == 3


def test_images_of_another_person_under_the_same_id_are_no_prior(run):
    job, _, _ = run(make_study("1.2.8", "20230901", PatientBirthDate="19501231"), required=True)
    assert (job.priors, job.gathering) == ((), Gathering.MISSING)
    assert job.notes == ("no prior found at odd",)
    with pytest.raises(PriorMissing, match="the route requires a prior; no prior found at odd"):
        check_priors(job)


def test_nobody_is_asked_for_a_patient_without_a_name(run):
    job, _, archive = run([], today=make_study(TODAY, "20240102", PatientID="ANONYMOUS"))
    assert archive.asked == []
    assert job.notes == ("no prior sought: the Patient ID is empty or names nobody",)
    check_priors(job)  # it was not required


def test_an_archive_that_does_not_know_where_to_send_is_named(run):
    job, _, _ = run(make_study("1.2.8", "20230901"), retrieve="move")
    assert job.notes == ("odd answers C-MOVE with 0xA801: it does not know our AE title as a move destination; "
                         "without it",)  # fmt: skip


def test_a_study_that_is_refused_may_be_sent_for_its_own_sake_at_once(run):
    job, bench, _ = run(make_study("1.2.8", "20230901"), retrieve="move")
    assert job.priors == ()
    ((_, _, until),) = bench.ledger.find_askings("1.2.8")
    assert until <= time.time() + GRACE, "what comes later is somebody's study"


def test_after_a_study_that_is_refused_the_next_one_is_tried(run):
    held = [*make_study("1.2.8", "20230901"), *make_study("1.2.7", "20230801")]
    job, bench, _ = run(held, odd={"withheld": "1.2.8"})
    assert (job.priors, job.gathering) == (("1.2.7",), Gathering.DONE)
    assert [note.startswith("odd answers C-GET with 0xA701") for note in job.notes] == [True, False]
    assert job.notes[1] == "prior of 5 months before gathered from odd"
    ((_, _, until),) = bench.ledger.find_askings("1.2.8")
    assert until <= time.time() + GRACE


def test_what_refuses_every_study_is_named_once(run):
    held = [one for n in range(3) for one in make_study(f"1.2.{n + 10}", f"202{n + 1}0901")]
    job, _, archive = run(held, retrieve="move", within="P10Y")
    assert job.notes == ("odd answers C-MOVE with 0xA801: it does not know our AE title as a move destination; "
                         "without it",)  # fmt: skip
    assert len([one for one in archive.asked if one.QueryRetrieveLevel == "SERIES"]) == 3


def test_studies_that_grow_do_not_keep_others_from_being_gathered_for(tmp_path, monkeypatch):
    bench, looked = Bench(tmp_path, 9, wait="PT1S"), []
    waiting = [(f"job {n}", f"1.2.{n}", time.time()) for n in range(AT_ONCE + 1)]
    monkeypatch.setattr(bench.ledger, "find_waiting", lambda: waiting)
    monkeypatch.setattr(bench.ledger, "get_job", lambda key: replace(bench.job, id=key, study_uid=f"1.2.{key[4:]}"))
    monkeypatch.setattr(bench.gatherer, "_is_growing", lambda job: looked.append(job.id) or True)
    now = time.time()

    def tick(at):
        bench.gatherer.tick(at)
        for thread in bench.gatherer._find_threads():
            thread.join(10)

    tick(now)
    assert sorted(looked) == [f"job {n}" for n in range(AT_ONCE)]
    tick(now + 0.25)
    assert sorted(looked) == [f"job {n}" for n in range(AT_ONCE + 1)]
    tick(now + 60)
    assert len(looked) == 2 * AT_ONCE + 1, "and then they are looked at again"
    bench.door.stop()


@pytest.mark.parametrize("required", [True, False])
def test_a_job_that_failed_from_the_first_asks_for_its_prior_when_it_is_queued_again(tmp_path, required):
    bench = Bench(tmp_path, 9, wait="PT30S", required=required)
    made = replace(JOB, created_at=1000.0)
    failed = with_gathering(replace(made, state=State.FAILED, reason="IncompleteStudy: why"), bench.settings)
    study = add_study(bench.ledger)
    assert bench.ledger.close_study(study, 1001.0, "complete", "", [failed])
    assert bench.ledger.find_waiting() == []
    queued = bench.ledger.move_job(bench.ledger.get_job(failed.id), State.QUEUED, 9000.0, "retry")
    fresh = with_gathering(replace(made, created_at=9000.0), bench.settings)
    assert (queued.gathering, queued.ready_at) == (Gathering.ASKING, fresh.ready_at)
    assert (queued.ready_at == NEVER) is required
    assert bench.ledger.find_waiting() == [(JOB.id, JOB.study_uid, 9000.0)]
    assert bench.ledger.claim_job(JOB.id, "w", 9200.0, 9089.0) is None
    bench.door.stop()


def test_an_archive_that_answers_too_late_is_not_waited_for(run):
    began = time.monotonic()
    job, _, _ = run(make_study("1.2.8", "20230901"), odd={"patience": 6.0}, wait="PT1S")
    assert time.monotonic() - began < 5
    assert job.priors == ()
    assert job.notes[0].startswith("odd did not answer in 1 s")


def test_an_archive_that_never_stops_answering_is_aborted(run):
    job, _, _ = run(make_study("1.2.8", "20230901"), odd={"copies": 200}, wait="PT20S")
    assert job.notes == ("odd gives more than 500 answers to one question; without it",)


def test_a_prior_that_somebody_sent_before_is_used_as_it_is(run):
    own = make_study("1.2.8", "20230901")
    job, bench, archive = run([*own, *make_study("1.2.8", "20230901")], own=own)
    assert job.priors == ("1.2.8",)
    assert job.notes == ("prior of 4 months before was here already",)
    assert [one.QueryRetrieveLevel for one in archive.asked] == ["STUDY"]
    assert bench.ledger.find_study("1.2.8").version == 1


def test_priors_are_as_many_as_were_asked_for_and_the_newest(run):
    held = [one for n in range(4) for one in make_study(f"1.2.{n + 10}", f"202{n}0901")]
    job, bench, _ = run(held, priors=2, within="P10Y")
    assert job.priors == ("1.2.13", "1.2.12")
    assert len(bench.ledger.find_studies()) == 3


def test_what_came_is_whole_and_nothing_that_names_the_patient_is_written_down(run, caplog):
    held = make_study("1.2.8", "20230901")
    job, bench, _ = run(held)
    kept = [dcmread(bench.settings.spool / one.path) for one in bench.ledger.find_instances("1.2.8")]
    assert sorted(one.to_json() for one in kept) == sorted(one.to_json() for one in held)
    told = repr((job, bench.ledger.find_history(job.id), bench.ledger.find_askings("1.2.8"), caplog.text))
    for secret in ("P-1", "Test^Pat", "20230901", "20240102", "19700101"):
        assert secret not in told.replace("1.2.3.1", "")


def test_a_job_whose_gathering_nobody_did_in_time_says_so(tmp_path):
    bench = Bench(tmp_path, 9, wait="PT1S")
    bench.gatherer._started = 0.0
    bench.add(make_study(TODAY, "20240102"))
    time.sleep(1.1)
    job = bench.gather()
    assert job.notes == ("no prior sought: other jobs were gathered for during all of 1 s",)
    assert (job.state, job.gathering) == (State.QUEUED, Gathering.DONE)


def test_a_study_whose_gathering_cannot_even_be_written_down_is_not_tried_again_at_once(tmp_path, monkeypatch):
    bench, tried = Bench(tmp_path, 9, wait="PT1S"), []

    def fail(job_id):
        tried.append(job_id)
        raise OSError(28, "No space left on device")

    bench.add(make_study(TODAY, "20240102"))
    monkeypatch.setattr(bench.ledger, "get_job", fail)
    now = time.time()

    def tick(at):
        bench.gatherer.tick(at)
        for thread in bench.gatherer._find_threads():
            thread.join(5)
        return len(tried)

    assert [tick(now + seconds) for seconds in (0, 1, 25)] == [1, 1, 1]
    assert tick(now + 60) == 2
    bench.door.stop()


def test_where_there_is_no_room_for_a_prior_the_job_goes_without_and_says_so(run, monkeypatch):
    def fill(*_, **__):
        raise OutOfResources("3 MB free in the spool")

    monkeypatch.setattr(DimseArchive, "fetch", fill)
    job, bench, _ = run(make_study("1.2.8", "20230901"))
    assert (job.gathering, job.notes) == (Gathering.DONE, ("3 MB free in the spool; without it",))
    ((_, _, until),) = bench.ledger.find_askings("1.2.8")
    assert until <= time.time() + GRACE
