"""Who brought a study and who was asked for it is forgotten with its images, and nothing that is under way is."""

import pytest

from node.ledger import SqlLedger
from node.ledger import tables as t
from node.ledger.gathering import GATHERED
from node.model.batch import Batch, Ended, Opened
from node.model.study import StudyState
from tests.jobs import make_instance

OLD, NOW = 1000.0, 9000.0
BEFORE = 5000.0


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def bring(ledger, study_uid="1.2.3", at=OLD, caller="CT1", how="released"):
    """An association that brings the study's one image."""
    key = f"{study_uid}/{at}"
    ended = [Ended(key, how, at + 5)] if how else []
    ledger.record(Batch([Opened(key, "listen-0", caller, at)], [(make_instance(1, study_uid, at=at), key)], ended))


def close(ledger, study_uid="1.2.3", reason=""):
    assert ledger.close_study(ledger.find_study(study_uid), OLD + 100, "complete", reason, [])


def expire(ledger):
    return [name for study in ledger.find_finished(NOW, NOW, 10) for name in ledger.expire_study(study, NOW, NOW)]


def count(ledger, table):
    with ledger._reader.connect() as db:
        return len(db.execute(table.select()).all())


def count_traces(ledger):
    return [count(ledger, table) for table in (t.asking, t.association_study, t.association)]


def test_a_study_without_files_leaves_only_when_its_sender_last_called(ledger):
    for number in range(3):
        bring(ledger, f"1.2.{number}", at=OLD + 10 * number)
        close(ledger, f"1.2.{number}")
        ledger.add_asking(f"1.2.{number}", "job", "PACS", OLD, OLD + 60)
    bring(ledger, "1.2.9", caller="CT2")
    close(ledger, "1.2.9")
    expire(ledger)
    assert ledger.forget_traffic(BEFORE, 10) == 4
    assert count_traces(ledger) == [0, 0, 2]
    assert ledger.find_last_calls() == {"CT1": OLD + 25, "CT2": OLD + 5}
    assert ledger.forget_traffic(BEFORE, 10) == 0


def test_at_most_so_many_are_forgotten_at_once(ledger):
    for number in range(3):
        bring(ledger, f"1.2.{number}")
        close(ledger, f"1.2.{number}")
    expire(ledger)
    assert [ledger.forget_traffic(BEFORE, 2) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("why", ["its files are kept", "it is open", "asked for", "brought again", "being brought"])
def test_what_is_under_way_or_kept_stays(ledger, why):
    bring(ledger)
    ledger.add_asking("1.2.3", "old job", "PACS", OLD, OLD + 60)
    if why != "it is open":
        close(ledger)
    if why != "its files are kept":
        expire(ledger)
    if why == "asked for":
        ledger.add_asking("1.2.3", "job", "PACS", BEFORE, BEFORE + 60)
    if why in {"brought again", "being brought"}:
        bring(ledger, at=BEFORE, how="released" if why == "brought again" else "")
        expire(ledger)
    before = count_traces(ledger)
    assert ledger.forget_traffic(BEFORE, 10) == 0
    assert count_traces(ledger) == before


def test_a_request_for_what_never_came_is_forgotten_once_it_is_over(ledger):
    ledger.add_asking("1.2.3", "job", "PACS", OLD, OLD + 60)
    ledger.add_asking("1.2.4", "job", "PACS", BEFORE, BEFORE + 60)
    ledger.forget_traffic(BEFORE, 10)
    assert (ledger.find_askings("1.2.3"), len(ledger.find_askings("1.2.4"))) == ([], 1)


def gather_and_forget(ledger):
    ledger.add_asking("1.2.3", "job", "PACS", OLD, OLD + 60)
    bring(ledger, at=OLD + 10, caller="PACS")
    close(ledger, reason=GATHERED)
    expire(ledger)
    assert ledger.forget_traffic(BEFORE, 10) == 1
    assert ledger.reopen_sent() == []


def test_a_gathered_study_that_is_sent_after_it_was_forgotten_is_judged_as_any_other(ledger):
    gather_and_forget(ledger)
    bring(ledger, at=NOW)
    assert ledger.reopen_sent() == ["1.2.3"]
    assert ledger.find_study("1.2.3").state == StudyState.RECEIVING
    assert [caller for caller, *_ in ledger.find_associations("1.2.3")] == ["CT1"]


def test_a_gathered_study_that_is_asked_for_after_it_was_forgotten_stays_closed(ledger):
    gather_and_forget(ledger)
    ledger.add_asking("1.2.3", "job 2", "PACS", NOW, NOW + 60)
    bring(ledger, at=NOW + 10, caller="PACS")
    assert ledger.reopen_sent() == []
    assert len(ledger.find_instances("1.2.3")) == 1
