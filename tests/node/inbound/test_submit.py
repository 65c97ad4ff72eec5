"""A study that is named by its uid is fetched and read by what was named with it, once, and by nothing else."""

import time
from threading import Event

import pytest
from pydicom import dcmread

from node import wiring
from node.config import Settings
from node.inbound.enqueue import Enqueuer
from node.inbound.submit import make_submission
from node.ledger.gathering import SUBMITTED
from node.model.job import State
from node.model.study import StudyState
from node.model.submission import SubmissionState
from node.rounds import keep_going
from tests.node.inbound.test_gather import OddArchive
from tests.series import make_series

STUDY = "1.2.3.77"
ROUTES = [
    {"name": "chest", "from": ["odd"], "when": {"Modality": "CT"}, "pipeline": "lung-seg"},
    {"name": "every CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg"},
    {"name": "head", "when": {"Modality": "MR"}, "pipeline": "brain-extract"},
    {"name": "second", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "after": "chest", "from": ["odd"]},
]
ENDED = (SubmissionState.MADE, SubmissionState.REFUSED)


class Bell:
    def ring(self, waiting):
        """Nobody hears it."""


class Bench:
    """The matching and the fetching of a node, one round after the other in this thread."""

    def __init__(self, folder, port, **peer):
        odd = {"ae_title": "ODD", "address": f"127.0.0.1:{port}", "query": True, "retrieve": "get", "send": True}
        self.settings = Settings.model_validate(
            {"node": {"home": folder}, "listen": {"min_free_mb": 1}, "peers": {"odd": odd | peer}, "routes": ROUTES}
            | {"completeness": {"quiet": "PT0.2S", "broken": "PT0.2S", "give_up": "PT20S"}}
        )
        self.ledger, self.spool = wiring.open_ledger(self.settings), wiring.open_spool(self.settings)
        self.enqueuer = Enqueuer(self.settings, self.ledger, Bell())
        self.submitter = wiring.make_submitter(self.settings, self.ledger, self.spool)
        self.submitter._door.start()

    def close(self):
        self.submitter._door.stop()
        self.ledger.close()

    def submit(self, route="chest", pipeline="", study=STUDY, again=False):
        asked = make_submission(study, "odd", "" if pipeline else route, pipeline, time.time())
        return self.ledger.submit(asked, again=again)

    def end(self, submission, patience=30):
        """The submission when nothing more becomes of it."""
        return self.go_on(lambda: self.ledger.find_submission(submission.id).state in ENDED, patience) or (
            self.ledger.find_submission(submission.id)
        )

    def go_on(self, is_so, patience=30, *, close=True):
        stop, over = Event(), time.monotonic() + patience

        def step(now):
            self.submitter.tick(now)
            if close:
                self.enqueuer.close_complete(now)
            if is_so() or time.monotonic() > over:
                stop.set()

        keep_going("the bench", step, 0.02, stop)

    def bring(self, slices, caller="MODALITY"):
        """Images that somebody sends on an association of its own."""
        with self.submitter._door.open(caller, slices[0].StudyInstanceUID) as take:
            for one in slices:
                path = self.settings.node.home / "one.dcm"
                one.save_as(path, enforce_file_format=True)
                take([path.read_bytes()])

    def routes(self):
        return sorted(job.route for job in self.ledger.find_jobs(STUDY))


def make_study(count=4, uid=STUDY):
    return make_series((count, 16, 18), StudyInstanceUID=uid, SeriesInstanceUID=uid + ".1", BodyPartExamined="CHEST")


@pytest.fixture
def run(tmp_path):
    """run(slices) -> a bench whose archive holds them."""
    archives, benches = [], []

    def start(slices, **more):
        archives.append(OddArchive(slices, **more))
        benches.append(Bench(tmp_path, archives[-1].port))
        benches[-1].archive = archives[-1]
        return benches[-1]

    yield start
    for one in benches:
        one.close()
    for one in archives:
        one.stop()


def test_a_named_study_is_fetched_and_read_by_the_named_route_alone(run):
    bench = run(make_study())
    one, begins = bench.submit("chest")
    done = bench.end(one)
    assert begins
    assert (done.state, done.answer) == (SubmissionState.MADE, "4 of 4 images of odd are here")
    assert bench.routes() == ["chest"]
    job = bench.ledger.get_job(done.jobs[-1])
    assert (job.state, job.series_uids, job.notes) == (State.QUEUED, (STUDY + ".1",), ())
    study = bench.ledger.find_study(STUDY)
    assert (study.evidence, study.reason) == (SUBMITTED, "")


def test_the_same_question_is_asked_once_and_again_when_somebody_says_so(run):
    bench = run(make_study())
    one, _ = bench.submit()
    assert bench.submit() == (bench.ledger.find_submission(one.id), False)
    done = bench.end(one)
    asked = len(bench.archive.asked)
    assert bench.submit() == (done, False)
    bench.go_on(lambda: True)
    assert len(bench.archive.asked) == asked
    again, begins = bench.submit(again=True)
    assert begins
    assert bench.end(again).jobs == done.jobs
    assert len(bench.archive.asked) > asked
    assert bench.routes() == ["chest"]


def test_a_job_that_was_canceled_is_no_answer(run):
    bench = run(make_study())
    (job_id,) = bench.end(bench.submit()[0]).jobs
    bench.ledger.move_job(bench.ledger.get_job(job_id), State.CANCELED, time.time(), "cancel", "an operator")
    again = bench.end(bench.submit(again=True)[0])
    assert again.state == SubmissionState.REFUSED
    assert again.answer.startswith(f"its job {job_id} was canceled")


def test_a_pipeline_without_a_route_reads_the_study_and_its_results_stay_here(run):
    bench = run(make_study())
    one, _ = bench.submit(pipeline="brain-extract")
    job = bench.ledger.get_job(bench.end(one).jobs[-1])
    assert (job.route, job.pipeline, job.deliver) == ("submitted: brain-extract", "brain-extract", ())


def test_a_second_route_is_asked_of_what_is_here_already(run):
    bench = run(make_study())
    bench.end(bench.submit("chest")[0])
    done = bench.end(bench.submit("every CT")[0])
    assert done.state == SubmissionState.MADE
    assert bench.routes() == ["chest", "every CT"]
    assert bench.ledger.find_study(STUDY).version == 1


def test_a_route_that_comes_after_another_brings_it_along(run):
    bench = run(make_study())
    done = bench.end(bench.submit("second")[0])
    before, job = (bench.ledger.get_job(job) for job in done.jobs)
    assert (before.route, job.route, job.after) == ("chest", "second", before.id)


def test_a_study_that_somebody_sends_later_meets_all_routes(run, monkeypatch):
    monkeypatch.setattr("node.inbound.submit.GRACE", 0.0)
    bench = run(make_study())
    done = bench.end(bench.submit("every CT")[0])
    bench.bring([dcmread(bench.settings.spool / one.path) for one in bench.ledger.find_instances(STUDY)])
    assert bench.ledger.reopen_sent() == [STUDY]
    bench.go_on(lambda: bench.ledger.find_study(STUDY).state == StudyState.COMPLETE)
    assert bench.routes() == ["chest", "every CT", "second"]
    assert done.jobs[-1] in {job.id for job in bench.ledger.find_jobs(STUDY)}
    assert bench.ledger.reopen_sent() == []


def test_a_study_that_was_sent_before_is_read_as_it_is_and_what_is_missing_makes_its_next_version(run):
    bench = run(make_study(5))
    bench.bring(make_study(5)[:3])
    bench.go_on(bench.routes)
    assert bench.routes() == ["every CT"]
    done = bench.end(bench.submit("chest")[0])
    assert done.state == SubmissionState.MADE
    assert bench.ledger.find_study(STUDY).version == 2
    versions = {(job.route, job.version, job.state) for job in bench.ledger.find_jobs(STUDY)}
    assert versions >= {("every CT", 1, State.CANCELED), ("every CT", 2, State.QUEUED), ("chest", 2, State.QUEUED)}


def test_what_the_peer_has_not_is_refused_and_can_be_asked_for_anew(run):
    bench = run(make_study())
    one, _ = bench.submit(study="1.2.3.78")
    done = bench.end(one)
    assert (done.state, done.answer) == (SubmissionState.REFUSED, "odd has no images of this study")
    assert bench.submit(study="1.2.3.78")[1]


def test_a_study_that_the_peer_does_not_give_is_refused_with_its_words(run):
    done = (bench := run(make_study(), withheld=STUDY)).end(bench.submit()[0])
    assert done.state == SubmissionState.REFUSED
    assert "0xA701" in done.answer
    assert bench.ledger.find_jobs() == []


def test_a_study_that_the_route_does_not_want_is_refused_with_the_condition(run):
    bench = run(make_study())
    done = bench.end(bench.submit("head")[0])
    assert done.state == SubmissionState.REFUSED
    assert "Modality" in done.answer
    assert bench.ledger.find_jobs() == []


def test_a_peer_that_is_away_is_asked_again_until_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr("node.inbound.submit.AGAIN", 0.2)
    bench = Bench(tmp_path, 1)
    asked = make_submission(STUDY, "odd", "chest", "", time.time() - 18)
    done = bench.end(bench.ledger.submit(asked)[0])
    assert done.state == SubmissionState.REFUSED
    assert done.answer.startswith("given up: ")
    bench.close()


def test_retention_leaves_alone_what_waits_for_its_job(run):
    bench = run(make_study())
    one, _ = bench.submit()
    bench.go_on(lambda: bench.ledger.find_submission(one.id).state == SubmissionState.FETCHED, close=False)
    bench.enqueuer.close_complete(time.time() + 60)
    assert bench.ledger.find_study(STUDY).state == StudyState.COMPLETE
    assert bench.ledger.find_finished(9e9, 9e9, 10) == []
    job = bench.ledger.get_job(bench.end(one).jobs[-1])
    bench.ledger.move_job(job, State.CANCELED, time.time(), "cancel")
    assert [found.study_uid for found in bench.ledger.find_finished(9e9, 9e9, 10)] == [STUDY]


def test_a_crash_between_asking_and_matching_makes_the_job_all_the_same(run, tmp_path):
    bench = run(make_study())
    one, _ = bench.submit()
    bench.go_on(lambda: bench.ledger.find_submission(one.id).state == SubmissionState.FETCHED, close=False)
    assert bench.ledger.find_study(STUDY).state == StudyState.RECEIVING
    bench.submitter = wiring.make_submitter(bench.settings, bench.ledger, bench.spool)
    bench.submitter._door.start()
    assert bench.end(one).state == SubmissionState.MADE
    assert bench.routes() == ["chest"]
