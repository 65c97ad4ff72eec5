"""A child says that it is there, without being asked and without being in anybody's way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from node.heap import give_back
from node.ledger import SqlLedger
from tests.waiting import wait_until
from workers.idle import Presence
from workers.memory import find_reserved_mb, find_resident_mb

PROGRAM = """
import sys, time
from node.ledger import SqlLedger
from workers.idle import Presence
Presence(SqlLedger(sys.argv[1]), "host/1", ["gpu"], "cpu", lambda: [], 0.2).start()
time.sleep(60)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url):
    ledger = SqlLedger(url)
    yield ledger
    ledger.close()


def make(ledger, idle_s=0.2):
    return Presence(ledger, "host/1", ["gpu", "cpu"], "cpu", lambda: ["lung-seg"], idle_s)


def find(ledger):
    return next(iter(ledger.find_workers(time.time())), None)


def test_an_idle_child_is_seen_again_and_again(ledger):
    presence = make(ledger)
    presence.start()
    assert wait_until(lambda: find(ledger) is not None)
    first = find(ledger)
    assert (first.name, first.lanes, first.models, first.job_id) == ("host/1", ("gpu", "cpu"), ("lung-seg",), "")
    assert first.memory_mb > 10
    assert first.reserved_mb == 0
    assert wait_until(lambda: find(ledger).seen_at > first.seen_at)
    presence.leave()
    assert find(ledger) is None
    time.sleep(0.5)
    assert find(ledger) is None


def test_a_job_is_told_when_its_heartbeat_beats_and_untold_soon_after(ledger):
    presence = make(ledger, 60.0)
    presence.start()
    assert wait_until(lambda: find(ledger) is not None)
    presence.take("0" * 32, 5.0)
    presence.tell()
    assert (find(ledger).job_id, find(ledger).beat_s) == ("0" * 32, 5.0)
    presence.release()
    assert wait_until(lambda: find(ledger).job_id == "")
    presence.leave()


def test_between_two_beats_nothing_is_written(ledger):
    presence = make(ledger, 60.0)
    presence.tell()
    seen = find(ledger).seen_at
    presence.tell()
    presence.take("0" * 32, 5.0)
    presence.release()
    presence.tell()
    assert find(ledger).seen_at == seen


def test_a_ledger_that_cannot_be_written_raises_nothing_and_is_tried_again(ledger):
    presence = make(ledger)
    with ledger._engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE worker RENAME TO elsewhere")
    presence.tell()
    presence.leave()
    with ledger._engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE elsewhere RENAME TO worker")
    again = make(ledger)
    again.tell()
    assert find(ledger) is not None


def test_telling_waits_for_no_other_thread(ledger, monkeypatch):
    presence, entered, put = make(ledger), Event(), ledger.put_worker
    monkeypatch.setattr(ledger, "put_worker", lambda worker: entered.set() or put(worker))
    with ledger._engine.begin():  # the database is somebody else's
        busy, other = Thread(target=presence.tell), Thread(target=presence.tell)
        busy.start()
        assert entered.wait(10)
        other.start()
        other.join(10)
        assert not other.is_alive()
        assert busy.is_alive()
    busy.join(30)
    assert find(ledger) is not None


def test_a_child_that_is_killed_is_shown_as_gone(ledger, url):
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, url], cwd=root)
    try:
        assert wait_until(lambda: find(ledger) is not None, 20.0)
        assert not find(ledger).is_gone(time.time())
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert wait_until(lambda: find(ledger).is_gone(time.time()))


def test_resident_memory_grows_with_what_is_held():
    give_back()  # what others of this process freed would be taken without growing
    before = find_resident_mb()
    held = bytearray(os.urandom(1)) * (64 << 20)
    assert 50 < find_resident_mb() - before < 90
    assert len(held) == 64 << 20


def test_on_the_cpu_nothing_is_reserved():
    assert find_reserved_mb("cpu") == 0.0
