"""Rows follow the files: in order, in batches, and never more than the ledger can take."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import ConflictingInstance, OutOfResources
from node.inbound import recorder as module
from node.inbound.quarantine import set_aside
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.model.batch import Ended, Opened
from tests.jobs import make_instance


class Stubborn(SqlLedger):
    """A ledger that fails to write as long as it is told to."""

    broken = False
    batches = 0

    def record(self, batch):
        if self.broken:
            raise OperationalError("insert", {}, OSError("disk I/O error"))
        self.batches += 1
        return super().record(batch)


@pytest.fixture
def desk(tmp_path):
    ledger = Stubborn(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    spool = Spool(tmp_path / "spool")
    recorder = Recorder(ledger, spool)
    recorder.start()
    yield recorder, ledger, spool
    ledger.broken = False
    recorder.stop()
    ledger.close()


def test_many_images_are_few_transactions_and_an_association_never_ends_before_them(desk):
    recorder, ledger, _ = desk
    recorder.open_association(Opened("a", "listen-0", "SCU", 1.0))
    for number in range(500):
        assert recorder.add(make_instance(number), "a") == "new"
    recorder.end_association(Ended("a", "released", 2.0))
    assert recorder.flush()
    assert len(ledger.find_instances("1.2.3")) == 500
    assert ledger.find_associations("1.2.3") == [("SCU", 1.0, 2.0, "released")]
    assert ledger.batches < 50


def test_what_waits_is_held_already(desk):
    recorder, ledger, _ = desk
    ledger.broken = True
    recorder.add(make_instance(1), "")
    assert recorder.find_digest("1.2.3", "1.2.3.1.1") == make_instance(1).digest
    assert recorder.add(make_instance(1), "") == "same"
    with pytest.raises(ConflictingInstance):
        recorder.add(make_instance(1, digest="f" * 64), "")


def test_a_ledger_that_fails_is_asked_again_and_nothing_is_lost(desk):
    recorder, ledger, _ = desk
    ledger.broken = True
    recorder.add(make_instance(1), "")
    assert not recorder.flush(0.5)
    ledger.broken = False
    assert recorder.flush()
    assert ledger.find_digests("1.2.3") == {"1.2.3.1.1": make_instance(1).digest}


def test_a_ledger_that_does_not_keep_up_makes_the_door_refuse(desk, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    recorder, ledger, _ = desk
    ledger.broken = True
    with pytest.raises(OutOfResources, match="ledger"):
        for number in range(9):
            recorder.add(make_instance(number), "")
    ledger.broken = False
    assert recorder.flush(5)
    assert recorder.add(make_instance(99), "") == "new"


def test_two_contents_that_two_listeners_took_at_once_both_stay_and_one_is_reported(desk):
    recorder, ledger, spool = desk
    path = spool.root / "kept" / "2"
    path.write_bytes(b"the second content")
    other = Recorder(ledger, spool)
    other.start()
    recorder.add(make_instance(2, digest="a" * 64), "")
    assert recorder.flush()
    other.open_association(Opened("b", "listen-1", "MR1", 1.0))
    other._pending.clear()
    other.add(make_instance(2), "b")
    assert other.flush()
    other.stop()
    (item,) = ledger.find_quarantined()
    assert (item.caller, item.sop_instance_uid) == ("MR1", "1.2.3.1.2")
    assert (spool.root / item.path).read_bytes() == b"the second content"
    assert ledger.find_digests("1.2.3") == {"1.2.3.1.2": "a" * 64}


def conflict_file(spool):
    path = spool.root / "kept" / "0"
    path.write_bytes(b"the second content")
    return path


def conflict(desk, count):
    """Contents whose uids are held with another content, taken by a second listener that writes until it is stopped."""
    recorder, ledger, spool = desk
    for number in range(count):
        (spool.root / "kept" / str(number)).write_bytes(b"the second content")
        recorder.add(make_instance(number, digest="a" * 64), "")
    assert recorder.flush()
    other = Recorder(ledger, spool)
    for number in range(count):
        other.add(make_instance(number), "")
    other.start()
    return other


@pytest.mark.parametrize("trouble", ["FileNotFoundError", "locked", "unforeseen"])
def test_a_conflict_that_cannot_be_set_aside_ends_neither_the_others_nor_the_recorder(desk, monkeypatch, trouble):
    _, ledger, spool = desk
    put, place, failed = ledger.add_quarantined, spool.set_aside, []
    problem = {"FileNotFoundError": FileNotFoundError(2, "gone"), "unforeseen": ZeroDivisionError()}.get(
        trouble, OperationalError("insert", {}, OSError("database is locked"))
    )

    def fail_once(done, value):
        if not failed:
            failed.append(value)
            raise problem
        return done(value)

    if trouble == "locked":
        monkeypatch.setattr(ledger, "add_quarantined", lambda item: fail_once(put, item))
    else:
        monkeypatch.setattr(spool, "set_aside", lambda path: fail_once(place, path))
    other = conflict(desk, 3)
    assert other.flush()
    assert failed
    assert len(ledger.find_quarantined()) == 2
    other.add(make_instance(9), "")
    assert other.flush()
    assert make_instance(9).sop_instance_uid in ledger.find_digests("1.2.3")
    other.stop()
    left, listed = len(list(spool.root.glob("kept/?"))), len(list(spool.quarantine.iterdir()))
    assert (left, listed) == ((0, 3) if trouble == "locked" else (1, 2)), "nothing is lost: the re-index finds it"


def test_two_listeners_that_set_the_same_file_aside_at_once_do_it_once(desk, monkeypatch):
    _, ledger, spool = desk
    place = spool.set_aside

    def be_late(path):
        place(path)
        return place(path)

    monkeypatch.setattr(spool, "set_aside", be_late)
    set_aside(spool, ledger, conflict_file(spool), ConflictingInstance("why"))
    assert len(list(spool.quarantine.iterdir())) == 1


def test_an_error_of_the_ledger_that_nobody_foresaw_is_tried_again_too(desk, monkeypatch):
    recorder, ledger, _ = desk
    write, failed = ledger.record, []

    def fail_once(batch):
        if not failed:
            failed.append(batch)
            raise ZeroDivisionError
        return write(batch)

    monkeypatch.setattr(ledger, "record", fail_once)
    recorder.add(make_instance(1), "")
    assert recorder.flush()
    assert failed
    assert ledger.find_digests("1.2.3") == {"1.2.3.1.1": make_instance(1).digest}


def test_where_nobody_writes_any_more_the_door_refuses(desk, monkeypatch):
    recorder, _, _ = desk

    def end(batch):
        raise SystemExit

    monkeypatch.setattr(recorder, "_write", end)
    recorder.add(make_instance(1), "")
    assert not recorder.flush()
    with pytest.raises(OutOfResources, match="restart the node"):
        recorder.add(make_instance(2), "")


def test_many_threads_write_one_ledger(desk):
    recorder, ledger, _ = desk

    def bring(first):
        for number in range(first, first + 50):
            recorder.add(make_instance(number), "")
            recorder.count("refused")

    threads = [threading.Thread(target=bring, args=(n * 50,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.flush()
    assert len(ledger.find_instances("1.2.3")) == 400
    assert ledger.find_counts() == {"refused": 400}


def test_who_waits_for_the_rows_does_not_wait_for_others_to_gather(desk, monkeypatch):
    monkeypatch.setattr(module, "GATHER", 60.0)
    recorder, ledger, _ = desk
    recorder.add(make_instance(1), "")
    assert recorder.flush()
    assert ledger.batches == 1
