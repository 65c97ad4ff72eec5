"""How often, and with how many questions, the index is compared with the ledger."""

import time
from pathlib import Path

import numpy as np
import pytest

from node.model.delivery import ResultObject
from node.model.job import State
from node.web.dicomweb.indexer import COMPARE_RESULTS_EVERY
from tests.jobs import add_job
from tests.node.web.dicomweb.archive import Store
from tests.series import make_slice

JOBS = 5


@pytest.fixture
def store(tmp_path):
    """Of JOBS jobs a result each."""
    store = Store(tmp_path)
    for n in range(JOBS):
        job = add_job(store.ledger, id=f"{n}" * 32, study_uid=f"1.2.3.{n}", deliver=())
        result = make_slice(np.zeros((4, 4), np.int16), (0, 0, n), StudyInstanceUID=job.study_uid)
        path = store.settings.outbox / job.id / "result.dcm"
        path.parent.mkdir(parents=True)
        result.save_as(path, enforce_file_format=True)
        made = ResultObject(
            str(result.SOPInstanceUID), str(result.SOPClassUID), "CT", f"{job.id}/result.dcm", series_uid="1.2"
        )
        claimed = store.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
        store.ledger.move_job(claimed, State.ENCODED, time.time(), "put", objects=[made])
    yield store
    store.ledger.close()


def find_jobs(store):
    return {Path(path).parent.name[0] for path, _ in store.reading.index.find_page(store.settings.outbox, "", 100)}


def cancel(store, n):
    store.ledger.move_job(store.ledger.get_job(f"{n}" * 32), State.CANCELED, time.time(), "cancel")


def test_all_jobs_with_results_cost_one_question_and_that_now_and_then(store, monkeypatch):
    asked, find = [], store.ledger.find_named
    monkeypatch.setattr(store.ledger, "find_named", lambda ids: asked.append(list(ids)) or find(ids))
    monkeypatch.setattr(store.ledger, "get_job", None)
    now = time.time()
    for seconds in range(0, int(COMPARE_RESULTS_EVERY), 2):
        store.reading.indexer.tick(now + seconds)
    assert [len(ids) for ids in asked] == [JOBS]
    store.reading.indexer.tick(now + COMPARE_RESULTS_EVERY)
    assert len(asked) == 2


def test_results_of_a_canceled_job_vanish_after_that_time_and_the_others_stay(store):
    now = time.time()
    store.reading.indexer.tick(now)
    assert find_jobs(store) == set("01234")
    cancel(store, 3)
    store.reading.indexer.tick(now + COMPARE_RESULTS_EVERY)
    assert find_jobs(store) == set("0124")


def test_results_are_compared_some_at_a_time(store, monkeypatch):
    monkeypatch.setattr("node.web.dicomweb.indexer.RESULTS_AT_ONCE", 2)
    now = time.time()
    store.reading.indexer.tick(now)
    asked, find = [], store.ledger.find_named
    monkeypatch.setattr(store.ledger, "find_named", lambda ids: asked.append(len(ids)) or find(ids))
    for n in (0, 1, 4):
        cancel(store, n)
    for path in (store.settings.outbox / ("3" * 32)).iterdir():
        path.unlink()
    store.reading.indexer.tick(now + COMPARE_RESULTS_EVERY)
    assert asked == [2, 2, 1]
    assert find_jobs(store) == {"2"}


def test_folders_whose_names_begin_alike_are_told_apart(store):
    store.reading.indexer.tick(time.time())
    index, outbox = store.reading.index, store.settings.outbox
    for other in ("", ".old", "0", "-2"):
        beside = outbox.with_name(outbox.name[:-1] + other) if not other else outbox.with_name(outbox.name + other)
        assert index.find_page(beside, "", 100) == []
        assert index.count_under(beside) == {}
    assert sum(index.count_under(outbox).values()) == JOBS
    assert {path.parent.name for path in index.find_under(outbox, "1.2.3.1")} == {"1" * 32}


def test_comparisons_read_no_row_of_the_index(store):
    index, asked = store.reading.index, []
    index.connection.set_trace_callback(asked.append)
    index.find_page(store.settings.outbox, "", 5)
    index.count_under(store.settings.outbox)
    index.connection.set_trace_callback(None)
    assert len(asked) == 2
    for query in asked:
        (plan, *_) = [row[3] for row in index.connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert "USING COVERING INDEX instance_by_path" in plan
