"""The heartbeat tells how far a job is as long as the lease is held, and not a moment longer."""

import time
from itertools import pairwise
from threading import Event

import pytest

from node.ledger import SqlLedger
from node.model.job import State
from tests.jobs import JOB, add_job
from tests.waiting import wait_until
from workers.activity import LONGEST, Activity
from workers.heartbeat import Heartbeat


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    add_job(ledger)
    yield ledger
    ledger.close()


def claim(ledger, lease=0.6):
    now = time.time()
    return ledger.claim_job(JOB.id, "w", now + lease, now)


def read(ledger):
    job = ledger.get_job(JOB.id)
    return job.progress, job.activity


def test_what_stations_and_the_pipeline_say_is_written_while_the_job_runs(ledger):
    activity = Activity()
    with Heartbeat(ledger, claim(ledger), 0.6, pytest.fail, activity):
        activity.enter("load")
        assert wait_until(lambda: read(ledger) == (0.0, "load"))
        activity.enter("run")
        activity.note(0.4, "resample")
        assert wait_until(lambda: read(ledger) == (0.4, "run resample"))


def test_progress_is_written_at_most_once_a_second_whatever_the_lease(ledger, monkeypatch):
    activity, written, note = Activity(), [], ledger.note_progress
    monkeypatch.setattr(ledger, "note_progress", lambda *said: written.append(time.monotonic()) or note(*said))
    activity.enter("run")

    def go_on():
        activity.note((time.monotonic() % 10) / 10, "step")
        return len(written) >= 3

    with Heartbeat(ledger, claim(ledger, 60.0), 60.0, pytest.fail, activity):
        assert wait_until(go_on, 30)
        assert read(ledger)[0] > 0
    assert all(later - sooner > 0.9 for sooner, later in pairwise(written))


def test_a_job_that_is_over_at_once_costs_no_write(ledger):
    job = claim(ledger, 30.0)
    activity = Activity()
    activity.enter("run")
    with Heartbeat(ledger, job, 30.0, pytest.fail, activity, pytest.fail):
        time.sleep(0.2)
    assert read(ledger) == (0.0, "")


def test_a_worker_that_lost_its_lease_writes_no_progress(ledger):
    first, activity, lost = claim(ledger), Activity(), Event()
    with Heartbeat(ledger, first, 0.6, lost.set, activity):
        ledger.move_job(first, State.QUEUED, time.time(), "housekeeping", "WorkerLost")
        second = claim(ledger)
        assert ledger.note_progress(second.id, second.token, 0.1, "load")
        activity.note(0.9, "of yesterday")
        assert lost.wait(20)
        time.sleep(0.5)
        assert read(ledger) == (0.1, "load")


def test_the_lease_is_kept_when_what_people_like_to_know_cannot_be_told(ledger):
    def stumble():
        raise RuntimeError("nobody listens")

    job, ends = claim(ledger), set()
    with Heartbeat(ledger, job, 0.6, pytest.fail, None, stumble):
        assert wait_until(lambda: ends.add(ledger.get_job(JOB.id).lease_until) or len(ends) == 3)
        assert ledger.find_overdue(sorted(ends)[1], 0.0)[0] == []
    assert job.lease_until == min(ends)


@pytest.mark.parametrize(("share", "told"), [(-1, 0.0), (7, 1.0), (float("nan"), 0.0), ("half", 0.0), (None, 0.0)])
def test_a_share_that_is_none_does_no_harm(share, told):
    activity = Activity()
    activity.enter("run")
    activity.note(share, "step")
    assert activity.read() == (told, "run step")


def test_words_are_one_short_line():
    activity = Activity()
    activity.enter("run")
    activity.note(0.5, "one\ntwo\x1b[31m " + "long " * 20)
    assert activity.read()[1].startswith("run one two [31m long")
    assert len(activity.read()[1]) <= LONGEST
