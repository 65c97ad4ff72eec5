"""A job that waits for what is fetched is not claimed; what was asked for opens no jobs, unless somebody sends it."""

from dataclasses import replace

import pytest

from node.ledger import SqlLedger
from node.ledger.gathering import GATHERED
from node.model.batch import Batch, Ended, Opened
from node.model.job import Gathering, State
from node.model.study import StudyState
from tests.jobs import JOB, add_study, make_instance

PRIOR = "1.2.9"


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def add_waiting(ledger, ready_at=5000.0):
    """The one job of a complete study, waiting for its prior."""
    study = add_study(ledger)
    job = replace(JOB, gathering=Gathering.ASKING, ready_at=ready_at)
    assert ledger.close_study(study, 1001.0, "complete", "", [job])
    return job


def bring(ledger, opened_at, caller="PACS", number=1):
    """An association that brings an image of the prior."""
    key = f"{PRIOR}/{opened_at}"
    ended = Ended(key, "released", opened_at + 5)
    ledger.record(
        Batch(
            [Opened(key, "listen-0", caller, opened_at)], [(make_instance(number, PRIOR, at=opened_at), key)], [ended]
        )
    )


def close_gathered(ledger):
    study = ledger.find_study(PRIOR)
    assert ledger.close_study(study, 2000.0, "complete", GATHERED, [])


def test_a_job_that_waits_is_neither_claimed_nor_rung_for(ledger):
    job = add_waiting(ledger)
    assert ledger.claim_job(job.id, "w", 1100.0, 1050.0) is None
    assert ledger.find_overdue(1050.0, 1040.0) == ([], [])
    assert ledger.find_waiting() == [(job.id, job.study_uid, 1001.0)]


def test_a_settled_job_is_rung_for_and_claimed_with_its_priors_and_notes(ledger):
    job = add_waiting(ledger)
    assert ledger.settle_gathering(job, Gathering.DONE, [PRIOR], ["prior of 2 years before"], 1060.0, 12.0)
    assert [one.id for one in ledger.find_overdue(1061.0, 1050.0)[1]] == [job.id]
    claimed = ledger.claim_job(job.id, "w", 1100.0, 1062.0)
    assert (claimed.priors, claimed.notes) == ((PRIOR,), ("prior of 2 years before",))
    event = ledger.find_history(job.id)[1]
    assert (event.state, event.station, event.seconds) == (State.QUEUED, "gather", {"gather": 12.0})


def test_a_job_is_settled_once(ledger):
    job = add_waiting(ledger)
    assert ledger.settle_gathering(job, Gathering.DONE, [], ["a"], 1060.0, 1.0)
    assert not ledger.settle_gathering(job, Gathering.DONE, [PRIOR], ["b"], 1061.0, 1.0)
    assert ledger.get_job(job.id).notes == ("a",)


def test_a_job_that_nobody_gathers_for_runs_when_its_time_is_over(ledger):
    job = add_waiting(ledger, ready_at=1200.0)
    assert ledger.claim_job(job.id, "w", 1300.0, 1199.0) is None
    assert ledger.claim_job(job.id, "w", 1300.0, 1200.0).priors == ()


def test_a_job_that_failed_for_want_of_a_prior_asks_again_when_it_is_retried(ledger):
    job = add_waiting(ledger)
    ledger.settle_gathering(job, Gathering.MISSING, [], ["no prior found at pacs"], 1060.0, 1.0)
    failed = ledger.move_job(ledger.claim_job(job.id, "w", 1100.0, 1062.0), State.FAILED, 1063.0, "run", "PriorMissing")
    queued = ledger.move_job(failed, State.QUEUED, 1070.0, "retry")
    assert queued.gathering == Gathering.ASKING
    assert ledger.claim_job(job.id, "w", 1100.0, 1071.0) is None
    assert ledger.find_waiting() == [(job.id, job.study_uid, 1070.0)]


def test_a_retried_job_that_had_its_prior_keeps_it(ledger):
    job = add_waiting(ledger)
    ledger.settle_gathering(job, Gathering.DONE, [PRIOR], ["found"], 1060.0, 1.0)
    failed = ledger.move_job(ledger.claim_job(job.id, "w", 1100.0, 1062.0), State.FAILED, 1063.0, "run", "oops")
    queued = ledger.move_job(failed, State.QUEUED, 1070.0, "retry")
    assert (queued.gathering, queued.priors) == (Gathering.DONE, (PRIOR,))


def test_two_jobs_that_ask_for_one_study_share_the_window(ledger):
    ledger.add_asking(PRIOR, "a", "PACS", 1000.0, 1100.0)
    ledger.add_asking(PRIOR, "b", "PACS", 1050.0, 1200.0)
    ledger.add_asking(PRIOR, "c", "PACS", 1300.0, 1400.0)
    assert sorted(ledger.find_askings(PRIOR)) == [
        ("PACS", 1000.0, 1100.0),
        ("PACS", 1000.0, 1200.0),
        ("PACS", 1300.0, 1400.0),
    ]


def test_a_gathered_study_that_comes_again_in_the_window_stays_closed(ledger):
    ledger.add_asking(PRIOR, "a", "PACS", 1000.0, 1100.0)
    bring(ledger, 1010.0)
    close_gathered(ledger)
    bring(ledger, 1090.0)
    assert ledger.reopen_sent() == []


def test_a_gathered_study_that_is_sent_later_is_judged_again_and_only_once(ledger):
    ledger.add_asking(PRIOR, "a", "PACS", 1000.0, 1100.0)
    bring(ledger, 1010.0)
    close_gathered(ledger)
    bring(ledger, 3000.0, caller="CT1")
    assert ledger.reopen_sent() == [PRIOR]
    study = ledger.find_study(PRIOR)
    assert (study.state, study.version, study.reason) == (StudyState.RECEIVING, 1, "")
    assert ledger.close_study(study, 3100.0, "complete", "", [])
    assert ledger.reopen_sent() == []


def test_a_study_that_was_asked_for_anew_after_it_was_sent_is_not_judged_for_ever(ledger):
    ledger.add_asking(PRIOR, "a", "PACS", 1000.0, 1100.0)
    bring(ledger, 1010.0)
    bring(ledger, 1500.0, caller="CT1")
    ledger.add_asking(PRIOR, "b", "PACS", 2000.0, 2100.0)
    bring(ledger, 2010.0)
    close_gathered(ledger)
    assert ledger.reopen_sent() == []


def test_a_prior_stays_while_the_job_that_asked_for_it_is_unfinished(ledger):
    job = add_waiting(ledger)
    ledger.add_asking(PRIOR, job.id, "PACS", 1000.0, 1100.0)
    bring(ledger, 1010.0)
    close_gathered(ledger)
    assert [one.study_uid for one in ledger.find_finished(9000.0, 9000.0, 10)] == []
    ledger.move_job(job, State.CANCELED, 1200.0, "cancel")
    assert PRIOR in [one.study_uid for one in ledger.find_finished(9000.0, 9000.0, 10)]
