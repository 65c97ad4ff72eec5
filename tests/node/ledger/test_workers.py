"""Workers and progress in the ledger: told by the holder of a lease alone, gone after three beats, forgotten later."""

from dataclasses import replace

import pytest

from node.ledger import SqlLedger
from node.model.job import State
from node.model.worker import Worker
from node.oversight.metrics import render_metrics
from node.oversight.overview import list_rows
from node.oversight.workers import list_workers
from tests.jobs import JOB, add_job, add_study

DAY = 86400.0
WORKER = Worker("host/7", ("cpu", "gpu"), "cuda:0", ("lung-seg",), 812.5, 2048.0, "", 900.0, 1000.0, 10.0)


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def claim(ledger, at=1002.0):
    return ledger.claim_job(JOB.id, "host/7", at + 15, at)


def read(ledger):
    job = ledger.get_job(JOB.id)
    return job.progress, job.activity


def test_a_worker_is_read_as_it_was_written_and_has_one_row(ledger):
    ledger.put_worker(replace(WORKER, seen_at=990.0))
    ledger.put_worker(WORKER)
    assert ledger.find_workers(1000.0) == [WORKER]
    ledger.remove_worker(WORKER.name)
    assert ledger.find_workers(1000.0) == []


def test_a_worker_is_gone_after_three_beats_and_not_listed_after_a_day(ledger):
    ledger.put_worker(WORKER)
    assert [row.activity for row in list_workers(ledger, 1030.0)] == ["idle"]
    assert [row.activity for row in list_workers(ledger, 1030.5)] == ["gone"]
    assert list_workers(ledger, 1001.0 + DAY) == []


def test_the_row_of_a_worker_that_crashed_is_deleted_when_another_beats_a_day_later(ledger):
    ledger.put_worker(WORKER)
    ledger.put_worker(replace(WORKER, name="host/8", seen_at=1000.0 + DAY))
    assert len(ledger.find_workers(0.0)) == 2
    ledger.put_worker(replace(WORKER, name="host/8", seen_at=1001.0 + DAY))
    assert [worker.name for worker in ledger.find_workers(0.0)] == ["host/8"]


def test_workers_are_counted_by_lane_without_those_that_are_gone(ledger, monkeypatch):
    ledger.put_worker(WORKER)
    ledger.put_worker(replace(WORKER, name="host/8", lanes=("gpu",), beat_s=1.0))
    monkeypatch.setattr("time.time", lambda: 1020.0)
    lines = render_metrics(ledger, 0.0).splitlines()
    counted = [line for line in lines if line.startswith("wetread_workers{")]
    assert counted == [f'wetread_workers{{lane="{lane}"}} {n}.0' for lane, n in (("cpu", 1), ("gpu", 1), ("io", 0))]


def test_how_far_a_job_is_stands_in_the_list_and_with_its_worker(ledger):
    add_job(ledger)
    job = claim(ledger)
    ledger.put_worker(replace(WORKER, job_id=job.id))
    assert [row.activity for row in list_workers(ledger, 1003.0)] == ["begins"]
    assert ledger.note_progress(job.id, job.token, 0.4, "run resample")
    assert [row.reason for row in list_rows(ledger)] == ["run 40 % resample"]
    assert [row.activity for row in list_workers(ledger, 1003.0)] == ["run 40 % resample"]
    assert ledger.note_progress(job.id, job.token, 0.0, "encode")
    assert [row.reason for row in list_rows(ledger)] == ["encode"]


def test_only_the_holder_of_the_lease_writes_progress(ledger):
    add_job(ledger)
    first = claim(ledger)
    ledger.move_job(first, State.QUEUED, 1020.0, "housekeeping", "WorkerLost")
    assert not ledger.note_progress(first.id, first.token, 0.9, "run late")
    assert not ledger.note_progress(first.id, "", 0.9, "run late")
    second = claim(ledger, 1021.0)
    assert ledger.note_progress(second.id, second.token, 0.1, "load")
    assert not ledger.note_progress(first.id, first.token, 0.9, "run late")
    assert read(ledger) == (0.1, "load")


@pytest.mark.parametrize("to", [State.ENCODED, State.QUEUED, State.FAILED, State.CANCELED])
def test_a_job_that_leaves_its_worker_has_no_progress(ledger, to):
    add_job(ledger)
    job = claim(ledger)
    ledger.note_progress(job.id, job.token, 0.5, "run")
    assert ledger.move_job(job, to, 1003.0, "run", "text").activity == ""
    assert read(ledger) == (0.0, "")


def test_a_job_that_a_later_version_cancels_has_no_progress(ledger):
    add_job(ledger)
    job = claim(ledger)
    ledger.note_progress(job.id, job.token, 0.5, "run")
    study = add_study(ledger, JOB.study_uid, at=1003.0, number=2)
    assert ledger.close_study(study, 1004.0, "complete", "", [replace(JOB, id="1" * 32, version=study.version)])
    assert ledger.get_job(JOB.id).state == State.CANCELED
    assert read(ledger) == (0.0, "")


def test_a_ledger_of_an_older_version_gets_the_columns(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    ledger = SqlLedger(url)
    add_job(ledger)
    with ledger._engine.begin() as db:
        for column in ("progress", "activity"):
            db.exec_driver_sql(f"ALTER TABLE job DROP COLUMN {column}")
        db.exec_driver_sql("DROP TABLE worker")
    ledger.close()
    ledger = SqlLedger(url)
    assert read(ledger) == (0.0, "")
    assert ledger.find_workers(0.0) == []
    ledger.close()
