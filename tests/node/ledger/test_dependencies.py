"""A job that comes after another: not to be claimed before that one's objects lie in the outbox, failed with it."""

import pytest

from node.errors import DependencyFailed
from node.ledger import SqlLedger
from node.ledger.dependencies import fail_stranded, find_inputs
from node.model.delivery import ResultObject
from node.model.job import State
from tests.jobs import JOB, add_study

OBJECT = ResultObject("2.25.1", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "j/2.25.1.dcm", series_uid="2.25.2")


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def add(ledger, *jobs):
    assert ledger.close_study(add_study(ledger), 1001.0, "complete", "", jobs)


def make(**changes):
    return JOB.__class__(**{name: getattr(JOB, name) for name in JOB.__slots__} | changes)


FIRST = make(route="brain")
SECOND = make(id="1" * 32, route="lesions", after=FIRST.id)
THIRD = make(id="2" * 32, route="score", after=SECOND.id)


def claim(ledger, job, at=1002.0):
    return ledger.claim_job(job.id, "w", at + 1000, at)


def find_unheard(ledger, now=1002.0):
    return {job.id for job in ledger.find_overdue(now, now)[1]}


def encode(ledger, job):
    return ledger.move_job(claim(ledger, job), State.ENCODED, 1003.0, "encode", objects=[OBJECT])


def test_it_is_claimed_and_rung_for_only_when_the_objects_of_the_other_are_there(ledger):
    add(ledger, FIRST, SECOND)
    assert claim(ledger, SECOND) is None
    assert find_unheard(ledger) == {FIRST.id}
    done = encode(ledger, FIRST)
    assert find_unheard(ledger) == {SECOND.id}
    ledger.move_job(done, State.DELIVERED, 1004.0, "deliver")
    assert claim(ledger, SECOND).id == SECOND.id


def test_its_worker_finds_the_objects_of_the_other(ledger):
    add(ledger, FIRST, SECOND)
    with pytest.raises(DependencyFailed, match="QUEUED"):
        find_inputs(ledger.get_job(SECOND.id), ledger)
    encode(ledger, FIRST)
    assert find_inputs(ledger.get_job(SECOND.id), ledger) == [OBJECT]
    assert find_inputs(ledger.get_job(FIRST.id), ledger) == []


@pytest.mark.parametrize("end", [State.FAILED, State.CANCELED])
def test_it_fails_by_name_with_the_other_link_by_link(ledger, end):
    add(ledger, FIRST, SECOND, THIRD)
    ledger.move_job(ledger.get_job(FIRST.id), end, 1002.0, "run", "TooFewSlices: too few")
    fail_stranded(ledger, 1003.0)
    second = ledger.get_job(SECOND.id)
    assert second.state == State.FAILED
    assert second.reason == f"DependencyFailed: it comes after lung-seg, job {FIRST.id[:12]}, which is {end}"
    fail_stranded(ledger, 1004.0)
    assert ledger.get_job(THIRD.id).state == State.FAILED


def test_it_fails_by_name_when_there_is_no_other(ledger):
    add(ledger, SECOND)
    fail_stranded(ledger, 1003.0)
    assert ledger.get_job(SECOND.id).reason.startswith("DependencyFailed: the route that it comes after made no job")


def test_nothing_fails_while_the_other_is_on_its_way_or_done(ledger):
    add(ledger, FIRST, SECOND)
    fail_stranded(ledger, 1003.0)
    assert ledger.get_job(SECOND.id).state == State.QUEUED
    encode(ledger, FIRST)
    fail_stranded(ledger, 1004.0)
    assert ledger.get_job(SECOND.id).state == State.QUEUED


def test_a_job_waits_for_its_hours(ledger):
    add(ledger, make(not_before=2000.0))
    assert claim(ledger, JOB, 1999.0) is None
    assert find_unheard(ledger, 1999.0) == set()
    assert find_unheard(ledger, 2000.0) == {JOB.id}
    assert claim(ledger, JOB, 2000.0).id == JOB.id
