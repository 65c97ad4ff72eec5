"""Jobs that are added to a study that is closed: once, and only while it is as it was read."""

from dataclasses import replace

import pytest

from node.ledger import SqlLedger
from node.ledger.gathering import GATHERED, SUBMITTED
from tests.jobs import JOB, add_instance, add_study, make_instance


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def close(ledger, reason=GATHERED):
    assert ledger.close_study(add_study(ledger), 1001.0, "complete", reason, [])
    return ledger.find_study(JOB.study_uid)


def test_two_who_add_the_same_job_at_once_add_it_once(ledger):
    study = close(ledger)
    assert ledger.add_jobs(study, [JOB], 1002.0, SUBMITTED)
    assert ledger.add_jobs(study, [JOB, replace(JOB, id="b" * 32, route="other")], 1003.0, SUBMITTED)
    assert sorted(job.id for job in ledger.find_jobs()) == [JOB.id, "b" * 32]
    assert len(ledger.find_history(JOB.id)) == 1
    assert (ledger.find_study(JOB.study_uid).evidence, ledger.find_study(JOB.study_uid).reason) == (SUBMITTED, "")


def test_a_study_that_grew_meanwhile_gets_no_job_of_what_it_was(ledger):
    study = close(ledger)
    add_instance(ledger, make_instance(2))
    assert not ledger.add_jobs(study, [JOB], 1002.0, SUBMITTED)
    assert ledger.find_jobs() == []


def test_a_study_that_somebody_sent_keeps_the_evidence_by_which_it_was_closed(ledger):
    study = close(ledger, "no matching route")
    assert ledger.add_jobs(study, [JOB], 1002.0, SUBMITTED)
    assert (ledger.find_study(JOB.study_uid).evidence, ledger.find_study(JOB.study_uid).reason) == ("complete", "")
