"""A job that runs for a while is told of by the worker that has it, in the job and in the worker's own row."""

import time
from dataclasses import replace
from threading import Event, Thread

from node.model.job import State
from tests.jobs import JOB
from tests.series import make_series
from workers.process import Stopwatch

OURS = replace(JOB, pipeline="companion", deliver=(), series_uids=(), created_at=time.time())


class Onlooker(Thread):
    """Reads, while another thread works, what the ledger says of the job and of its worker."""

    def __init__(self, ledger):
        super().__init__(daemon=True)
        self._ledger = ledger
        self._done = Event()
        self.seen = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.join()

    def run(self):
        while not self._done.wait(0.05):
            job = self._ledger.get_job(OURS.id)
            at_hand = [worker.job_id for worker in self._ledger.find_workers(time.time())]
            self.seen.append((job.state, job.progress, job.activity, at_hand))


def close(node, tmp_path, seconds):
    node.keep(make_series(StudyInstanceUID=OURS.study_uid))
    (tmp_path / "seconds").write_text(str(seconds))
    assert node.ledger.close_study(node.ledger.find_study(OURS.study_uid), time.time(), "complete", "", [OURS])


def test_the_job_and_the_row_of_its_worker_say_what_is_being_done(node, tmp_path):
    close(node, tmp_path, 2.2)
    with Onlooker(node.ledger) as onlooker:
        assert node.hands.answer("gpu") == "encoded"
        until = time.monotonic() + 5
        while onlooker.seen[-1][3] != [""] and time.monotonic() < until:
            time.sleep(0.05)
    assert (State.CLAIMED, 0.4, "run compare", [OURS.id]) in onlooker.seen
    assert onlooker.seen[-1] == (State.ENCODED, 0.0, "", [""])


def test_a_worker_that_lost_its_job_leaves_the_progress_of_the_next_one_alone(node, tmp_path):
    close(node, tmp_path, 30)

    def rob():
        while node.ledger.get_job(OURS.id).activity != "run compare":
            time.sleep(0.05)
        now = time.time()
        node.ledger.move_job(node.ledger.get_job(OURS.id), State.QUEUED, now, "housekeeping", "WorkerLost")
        thief = node.ledger.claim_job(OURS.id, "thief", now + 60, now)
        assert node.ledger.note_progress(thief.id, thief.token, 0.1, "load")

    robber = Thread(target=rob)
    robber.start()
    start = time.monotonic()
    assert node.hands.answer("gpu") == "lost"
    robber.join(5)
    assert time.monotonic() - start < 15
    job = node.ledger.get_job(OURS.id)
    assert (job.state, job.progress, job.activity) == (State.CLAIMED, 0.1, "load")


def test_a_station_is_named_as_it_begins():
    named = []
    watch = Stopwatch(enter=named.append)
    assert watch.measure("load", lambda: list(named)) == ["load"]
    assert list(watch.seconds) == named == ["load"]
