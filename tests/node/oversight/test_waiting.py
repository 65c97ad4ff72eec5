"""What a job waits for, and which job replaced it, in words."""

from dataclasses import replace
from datetime import datetime

from node.model.job import State
from node.oversight.waiting import describe_job
from tests.jobs import JOB

NOON = datetime(2024, 3, 13, 12).timestamp()
FIRST = replace(JOB, id="a" * 32)


def describe(job, *others):
    return describe_job(job, {one.id: one for one in (job, *others)}, NOON)


def test_a_job_that_waits_for_nothing_says_nothing():
    assert describe(JOB) == ""


def test_hours_of_today_are_told_by_the_clock_others_with_the_day():
    assert describe(replace(JOB, not_before=NOON + 8 * 3600)) == "waits until 20:00"
    assert describe(replace(JOB, not_before=NOON + 32 * 3600)) == "waits until Thu 2024-03-14 20:00"
    assert describe(replace(JOB, not_before=NOON)) == ""


def test_the_job_before_is_named_until_its_objects_are_there():
    job = replace(JOB, after=FIRST.id)
    assert describe(job, FIRST) == "waits for lung-seg, job aaaaaaaaaaaa, which is QUEUED"
    assert describe(job, replace(FIRST, state=State.ENCODED)) == ""


def test_a_job_that_runs_waits_for_nothing():
    assert describe(replace(JOB, state=State.CLAIMED, not_before=NOON + 60)) == ""


def test_the_job_that_replaced_it_is_named_beside_its_own_reason():
    job = replace(JOB, state=State.FAILED, reason="TooFewSlices: 2", superseded_by=FIRST.id)
    later = replace(FIRST, version=2)
    assert describe(job, later) == "TooFewSlices: 2; superseded by version 2, job aaaaaaaaaaaa"
