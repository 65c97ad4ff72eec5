"""The ledger keeps its promises: compare-and-set moves, one claim, leases, versions."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from node.errors import LostLease, UnknownJob
from node.ledger import SqlLedger
from node.model.batch import Batch, Ended, Opened
from node.model.commitment import Commitment
from node.model.delivery import DeliveryState, Kind, ResultObject
from node.model.job import TRANSITIONS, State
from node.model.study import Quarantined, StudyState
from tests.jobs import JOB, add_instance, add_job, add_study, make_instance

OBJECTS = [ResultObject("2.25.1", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "j/2.25.1.dcm")]


@pytest.fixture
def ledger(tmp_path):
    book = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield book
    book.close()


def claim(ledger, job_id=JOB.id):
    return ledger.claim_job(job_id, "w", 2000.0, 1002.0)


def test_an_instance_is_recorded_once_and_another_content_comes_back(ledger):
    assert add_instance(ledger, make_instance())
    assert add_instance(ledger, make_instance())
    assert not add_instance(ledger, make_instance(digest="f" * 64))
    assert [instance.digest for instance in ledger.find_instances("1.2.3")] == [make_instance().digest]
    assert ledger.find_digests("1.2.3") == {"1.2.3.1.1": make_instance().digest}
    assert ledger.find_digests("1.2") == {}


def test_a_batch_is_written_whole_and_its_conflicts_come_back(ledger):
    add_instance(ledger, make_instance(1))
    other = make_instance(1, digest="f" * 64)
    twice = make_instance(3, study_uid="1.2.4")
    brought = [(make_instance(2), "a"), (other, "a"), (twice, "b"), (twice, "b"), (make_instance(1), "b")]
    opened = [Opened("a", "listen-0", "SCU", 1.0), Opened("b", "listen-0", "MR1", 2.0)]
    batch = Batch(opened, brought, [Ended("a", "released", 3.0)], Counter({"refused": 2}))
    assert ledger.record(batch) == [(other, "a")]
    ledger.record(Batch(counts=Counter({"refused": 1, "crowded out": 1})))
    assert ledger.find_associations("1.2.3") == [("SCU", 1.0, 3.0, "released"), ("MR1", 2.0, None, "")]
    assert ledger.find_associations("1.2.4") == [("MR1", 2.0, None, "")]
    assert len(ledger.find_instances("1.2.3")) == 2
    assert ledger.find_counts() == {"refused": 3, "crowded out": 1}


def test_a_commitment_waits_until_it_is_settled(ledger):
    asked = Commitment("2.25.1", "SCU", (("1.2", "1.2.3"), ("1.2", "1.2.4")), 10.0, 15.0, 0)
    ledger.add_commitment(asked)
    assert ledger.find_commitments("SCU", 14.0) == []
    assert ledger.find_commitments("OTHER", 20.0) == []
    assert ledger.find_commitments("SCU", 15.0) == [asked]
    ledger.postpone_commitment("2.25.1", 30.0)
    (later,) = ledger.find_commitments("SCU", 30.0)
    assert (later.attempts, later.next_at) == (1, 30.0)
    ledger.settle_commitment("2.25.1")
    assert ledger.find_commitments("SCU", 99.0) == []


def test_a_study_closes_once_and_only_as_it_was_read(ledger):
    study = add_study(ledger)
    add_instance(ledger, make_instance(2, at=1005.0))
    assert not ledger.close_study(study, 1010.0, "complete", "", [JOB])
    (grown,) = ledger.find_studies()
    assert ledger.close_study(grown, 1010.0, "complete", "", [JOB])
    assert not ledger.close_study(grown, 1011.0, "complete", "", [])
    assert [job.id for job in ledger.find_jobs()] == [JOB.id]


def test_a_late_image_opens_the_next_version_and_its_closing_cancels_the_unfinished_job(ledger):
    job = add_job(ledger)
    add_instance(ledger, make_instance(2, at=1100.0))
    (study,) = ledger.find_studies()
    assert (study.state, study.version) == (StudyState.RECEIVING, 2)
    again = JOB.__class__(**{**{f: getattr(JOB, f) for f in JOB.__slots__}, "id": "1" * 32, "version": 2})
    assert ledger.close_study(study, 1200.0, "complete", "", [again])
    assert ledger.get_job(job.id).state == State.CANCELED
    assert ledger.get_job(again.id).state == State.QUEUED


def test_an_object_that_is_no_image_never_opens_a_closed_study_again(ledger):
    add_job(ledger)
    add_instance(ledger, make_instance(9, at=1100.0, is_image=False))
    (study,) = ledger.find_studies()
    assert (study.state, study.version) == (StudyState.COMPLETE, 1)


def test_of_many_claims_at_once_exactly_one_succeeds(ledger):
    add_job(ledger)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claim(ledger), range(24)))
    assert sum(job is not None for job in claims) == 1


def test_a_late_worker_cannot_overwrite(ledger):
    add_job(ledger)
    slow = claim(ledger)
    ledger.move_job(slow, State.QUEUED, 1003.0, "housekeeping", "lost")
    quick = claim(ledger)
    assert not ledger.extend_lease(slow.id, slow.token, 9999.0)
    with pytest.raises(LostLease):
        ledger.move_job(slow, State.ENCODED, 1004.0, "encode", objects=OBJECTS)
    assert ledger.find_deliveries(slow.id) == []
    ledger.move_job(quick, State.ENCODED, 1005.0, "encode", objects=OBJECTS)
    assert len(ledger.find_deliveries(quick.id)) == 1


@pytest.mark.parametrize("to", [state for state in State if state not in TRANSITIONS[State.QUEUED]])
def test_no_move_outside_the_transition_table(ledger, to):
    job = add_job(ledger)
    with pytest.raises(ValueError, match="no transition"):
        ledger.move_job(job, to, 1002.0, "test")
    assert ledger.get_job(job.id).state == State.QUEUED


def test_objects_become_deliveries_in_the_same_step_and_a_rerun_doubles_nothing(ledger):
    add_job(ledger)
    ledger.move_job(claim(ledger), State.ENCODED, 1003.0, "encode", objects=OBJECTS)
    (delivery,) = ledger.find_deliveries(JOB.id, "pacs")
    ledger.move_delivery(delivery, DeliveryState.REFUSED, "0xC000", 0.0)
    job = ledger.move_job(ledger.get_job(JOB.id), State.FAILED, 1004.0, "deliver", "refused")
    ledger.move_job(job, State.QUEUED, 1005.0, "retry")
    ledger.move_job(claim(ledger), State.ENCODED, 1006.0, "encode", objects=OBJECTS)
    (delivery,) = ledger.find_deliveries(JOB.id, "pacs")
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 0)


def test_overdue_jobs_are_those_without_a_heartbeat_and_those_whose_bell_was_not_heard(ledger):
    add_job(ledger)
    add_job(ledger, id="2" * 32, study_uid="1.2.4")
    claim(ledger)
    lost, unheard = ledger.find_overdue(now=1999.0, rung_before=1.0)
    assert (lost, [job.id for job in unheard]) == ([], ["2" * 32])
    ledger.mark_rung(["2" * 32], 1500.0)
    lost, unheard = ledger.find_overdue(now=2001.0, rung_before=1500.0)
    assert ([job.id for job in lost], unheard) == ([JOB.id], [])


def test_a_failed_job_keeps_its_reason_and_a_retry_starts_counting_again(ledger):
    add_job(ledger)
    job = ledger.move_job(claim(ledger), State.FAILED, 1003.0, "run", "MissingSlices: one")
    assert job.reason == "MissingSlices: one"
    job = ledger.move_job(job, State.QUEUED, 1004.0, "retry")
    assert (job.attempt, job.reason) == (0, "")
    texts = [event.state for event in ledger.find_history(JOB.id)]
    assert texts == [State.QUEUED, State.CLAIMED, State.FAILED, State.QUEUED]


def test_that_a_job_did_not_run_is_not_sent_once_it_is_queued_again(ledger):
    add_job(ledger)
    job = ledger.move_job(claim(ledger), State.FAILED, 1003.0, "run", "MissingSlices: one", objects=OBJECTS)
    assert [d.state for d in ledger.find_deliveries(JOB.id)] == [DeliveryState.PENDING]
    ledger.move_job(job, State.QUEUED, 1004.0, "retry")
    assert ledger.find_deliveries(JOB.id) == []
    ledger.move_job(claim(ledger), State.FAILED, 1005.0, "run", "MissingSlices: one", objects=OBJECTS)
    assert [d.state for d in ledger.find_deliveries(JOB.id)] == [DeliveryState.PENDING]


def test_an_unknown_job_is_said_so(ledger):
    with pytest.raises(UnknownJob, match="nope"):
        ledger.get_job("nope")


def test_associations_left_open_by_a_dead_listener_are_lost(ledger):
    add_study(ledger, how="")
    assert ledger.lose_associations("listen-1", 1001.0) == 0
    assert ledger.lose_associations("listen-0", 1001.0) == 1
    assert [how for *_, how in ledger.find_associations("1.2.3")] == ["lost"]


def test_quarantine_is_remembered(ledger):
    item = Quarantined(1.0, "quarantine/x.bin", "CannotUnderstand: no", "SCU", "1.2")
    ledger.add_quarantined(item)
    assert ledger.find_quarantined() == [item]


def test_every_commit_is_synced(ledger):
    with ledger._engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_ledger_of_an_older_version_gets_the_columns_that_came_since(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    SqlLedger(url).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        columns = "sop_instance_uid, job_id, position, sop_class_uid, modality, path, kind, substitute"
        values = "'2.25.1', 'j', 0, '1.2', 'SR', 'j/2.25.1.dcm', 'report', ''"
        db.execute(f"INSERT INTO result_object ({columns}) VALUES ({values})")
        for column in ("kind", "substitute"):
            db.execute(f"ALTER TABLE result_object DROP COLUMN {column}")
        db.commit()
    (item,) = SqlLedger(url).find_objects("j")
    assert (item.sop_instance_uid, item.kind, item.substitute) == ("2.25.1", Kind.REPORT, "")


@pytest.mark.parametrize("state", [State.QUEUED, State.CLAIMED, State.ENCODED])
def test_of_a_canceled_job_nothing_is_sent_any_more(ledger, state):
    job = add_job(ledger)
    if state != State.QUEUED:
        job = claim(ledger)
    if state == State.ENCODED:
        two = [OBJECTS[0], ResultObject("2.25.2", "1.2.840.10008.5.1.4.1.1.88.34", "SR", "j/2.25.2.dcm")]
        job = ledger.move_job(job, State.ENCODED, 1003.0, "encode", objects=two)
        ledger.move_delivery(ledger.find_deliveries(job.id)[0], DeliveryState.SENT, "0x0000", 0.0)
    ledger.move_job(job, State.CANCELED, 1004.0, "cancel")
    assert [d.state for d in ledger.find_deliveries(job.id)] == [DeliveryState.SENT] * (state == State.ENCODED)
    assert ledger.claim_job(job.id, "w", 3000.0, 1005.0) is None


def test_a_job_that_another_supersedes_is_not_queued_again(ledger):
    job = add_job(ledger)
    failed = ledger.move_job(job, State.FAILED, 1002.0, "run", "why")
    add_instance(ledger, make_instance(2, at=1003.0))
    (study,) = ledger.find_studies()
    assert study.version == 2
    newer = replace(JOB, id="2" * 32, version=2)
    assert ledger.close_study(study, 1004.0, "complete", "", [newer])
    with pytest.raises(LostLease):
        ledger.move_job(failed, State.QUEUED, 1005.0, "retry")
    assert ledger.get_job(job.id).state == State.FAILED


def test_what_a_peer_denies_of_a_canceled_job_is_not_sent_again(ledger):
    add_job(ledger)
    job = ledger.move_job(claim(ledger), State.ENCODED, 1003.0, "encode", objects=OBJECTS)
    (pending,) = ledger.find_deliveries(job.id)
    ledger.move_delivery(pending, DeliveryState.SENT, "0x0000", 0.0)
    ledger.move_job(job, State.CANCELED, 1004.0, "cancel")
    (sent,) = ledger.find_deliveries(job.id)
    assert ledger.move_delivery(sent, DeliveryState.PENDING, "commitment denied", 0.0)
    (left,) = ledger.find_deliveries(job.id)
    assert left.state == DeliveryState.REFUSED
    assert "canceled" in left.answer
