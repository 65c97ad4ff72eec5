"""Who is next: the urgent first, no study before the others, nobody waits for ever."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from node.errors import LostLease
from node.ledger import SqlLedger
from node.model.job import Priority, State
from tests.jobs import JOB, add_study

STAT, ROUTINE, OFF_PEAK = Priority.STAT, Priority.ROUTINE, Priority.OFF_PEAK


@pytest.fixture
def ledger(tmp_path):
    book = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield book
    book.close()


def add(ledger, study, **jobs):
    """Jobs of one study: name=(priority, when it was made)."""
    rows = [
        replace(JOB, id=name, study_uid=study, priority=priority, created_at=at)
        for name, (priority, at) in jobs.items()
    ]
    assert ledger.close_study(add_study(ledger, study), 1001.0, "complete", "", rows)


def claim(ledger, lanes=("gpu",), **more):
    job = ledger.claim_next(lanes, "w", 5060.0, 5000.0, **more)
    return job and job.id


def test_the_urgent_overtake_all_that_does_not_run_yet(ledger):
    add(ledger, "1.1", night=(OFF_PEAK, 1.0))
    add(ledger, "1.2", old=(ROUTINE, 2.0))
    add(ledger, "1.3", young=(ROUTINE, 3.0))
    assert claim(ledger) == "old"
    add(ledger, "1.4", stroke=(STAT, 4.0))
    assert [claim(ledger) for _ in range(4)] == ["stroke", "young", "night", None]


def test_a_job_that_waited_long_gets_a_turn_among_the_urgent(ledger):
    add(ledger, "1.1", night=(OFF_PEAK, 1.0))
    add(ledger, "1.2", routine=(ROUTINE, 100.0))
    add(ledger, "1.3", stroke=(STAT, 200.0))
    assert claim(ledger, waiting_since=50.0) == "night"
    assert claim(ledger, waiting_since=50.0) == "stroke"
    assert claim(ledger, waiting_since=150.0) == "routine"


def test_one_study_does_not_occupy_all_workers(ledger):
    add(ledger, "1.1", a1=(ROUTINE, 1.0), a2=(ROUTINE, 2.0), a3=(ROUTINE, 3.0))
    add(ledger, "1.2", b1=(ROUTINE, 4.0), b2=(ROUTINE, 5.0))
    assert [claim(ledger) for _ in range(5)] == ["a1", "b1", "a2", "b2", "a3"]


def test_a_worker_claims_from_its_own_lanes(ledger):
    add(ledger, "1.1", a1=(ROUTINE, 1.0))
    assert claim(ledger, ["cpu", "io"]) is None
    assert ledger.count_free(5000.0) == {"gpu": 1}
    assert claim(ledger, ["cpu", "gpu"]) == "a1"
    assert ledger.count_free(5000.0) == {}


def test_a_job_that_becomes_urgent_while_it_waits_is_next(ledger):
    add(ledger, "1.1", first=(ROUTINE, 1.0))
    add(ledger, "1.2", second=(ROUTINE, 2.0))
    ledger.set_priority(ledger.get_job("second"), STAT, 3.0)
    assert claim(ledger) == "second"
    assert ledger.find_history("second")[1].text == "priority routine -> stat"
    with pytest.raises(LostLease, match="no longer waits"):
        ledger.set_priority(ledger.get_job("second"), ROUTINE, 4.0)


def test_what_waits_for_its_hours_is_not_next(ledger):
    night = replace(JOB, id="night", study_uid="1.1", not_before=6000.0)
    assert ledger.close_study(add_study(ledger, "1.1"), 1001.0, "complete", "", [night])
    assert claim(ledger) is None
    assert ledger.claim_next(["gpu"], "w", 6060.0, 6001.0).id == "night"


def test_many_workers_share_the_jobs_and_none_is_claimed_twice(ledger):
    for n in range(40):
        add(ledger, f"1.{n}", **{f"job{n}": (ROUTINE, float(n))})
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim(ledger), range(60)))
    counts = Counter(claimed)
    assert counts.pop(None) == 20
    assert set(counts.values()) == {1} and len(counts) == 40
    tokens = {ledger.get_job(name).token for name in counts}
    assert len(tokens) == 40
    assert {ledger.get_job(name).state for name in counts} == {State.CLAIMED}
