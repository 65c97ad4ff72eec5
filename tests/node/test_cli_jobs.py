"""What an administrator does to jobs: cancel one, try failed ones again."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import load_settings
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState, ResultObject
from node.model.job import Priority, State
from tests.jobs import JOB, add_instance, add_job, make_instance

TOML = """[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:4242"
[peers.archive]
ae_title = "ARCHIVE"
address = "127.0.0.1:4243"
"""


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    (tmp_path / "wetread.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_CONFIG", str(tmp_path / "wetread.toml"))
    return SqlLedger(load_settings().ledger_url)


def run(*words):
    return CliRunner().invoke(app, words)


def fail(ledger, number, refused_by):
    """A FAILED job of which `refused_by` refused the object."""
    add_job(ledger, id=str(number) * 32, study_uid=f"1.2.{number}", deliver=("pacs", "archive"))
    job = ledger.claim_job(str(number) * 32, "w", 2e9, 1001.0)
    item = ResultObject(f"2.25.{number}", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "j/x.dcm")
    job = ledger.move_job(job, State.ENCODED, 1002.0, "encode", objects=[item])
    for delivery in ledger.find_deliveries(job.id):
        state = DeliveryState.REFUSED if delivery.destination == refused_by else DeliveryState.SENT
        ledger.move_delivery(delivery, state, "0x0122", 0.0)
    return ledger.move_job(job, State.FAILED, 1003.0, "deliver", "refused")


def test_a_job_is_canceled_once_and_not_after_it_was_delivered(ledger):
    add_job(ledger)
    assert "canceled" in run("cancel", JOB.id[:8]).output
    assert ledger.get_job(JOB.id).state == State.CANCELED
    again = run("cancel", JOB.id)
    assert "cannot be canceled" in str(again.exception)


def test_a_waiting_job_can_be_made_urgent(ledger):
    add_job(ledger)
    assert run("priority", JOB.id[:8], "stat").output.split() == [JOB.id, "routine", "->", "stat"]
    assert ledger.claim_next(["gpu"], "w", 2e9, 1002.0).priority == Priority.STAT
    assert "no longer waits" in str(run("priority", JOB.id, "routine").exception)


def test_a_superseded_job_is_not_queued_again(ledger):
    failed = fail(ledger, 1, "pacs")
    add_instance(ledger, make_instance(2, failed.study_uid, at=2000.0))
    (study,) = ledger.find_studies()
    later = replace(failed, id="9" * 32, version=2, state=State.QUEUED)
    assert ledger.close_study(study, 2001.0, "complete", "", [later])
    assert f"superseded by job {later.id}" in str(run("retry", failed.id).exception)
    assert run("retry", "--failed").output == ""
    assert ledger.get_job(failed.id).state == State.FAILED


def test_what_one_peer_refused_is_tried_again_alone(ledger):
    fail(ledger, 1, "pacs")
    fail(ledger, 2, "archive")
    assert run("retry", "--peer", "archive").output.split() == ["2" * 32, "queued"]
    assert ledger.get_job("1" * 32).state == State.FAILED
    assert "no peer 'nobody'" in str(run("retry", "--peer", "nobody").exception)
    run("retry", "--failed")
    assert ledger.get_job("1" * 32).state == State.QUEUED
