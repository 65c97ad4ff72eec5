"""How often, and with how many questions, the index is compared with the ledger."""

import time

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
    return {path.parent.name[0] for path in store.reading.index.find_under(store.settings.outbox)}


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


def test_jobs_are_asked_for_some_at_a_time(store, monkeypatch):
    monkeypatch.setattr("node.web.dicomweb.indexer.JOBS_AT_ONCE", 2)
    cancel(store, 0)
    cancel(store, 4)
    store.reading.indexer.tick(time.time())
    assert find_jobs(store) == set("123")
