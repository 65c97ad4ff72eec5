"""The system clock is set forward or back while a job runs: it costs a run at most, never a result or hours."""

import time
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import pytest

import node.housekeeping
from node.config import Settings
from node.errors import LostLease
from node.housekeeping import Housekeeper
from node.inbound.enqueue import Enqueuer
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.model.delivery import ResultObject
from node.model.job import State
from node.sections import Work
from tests.jobs import JOB, add_job

HOUR = 3600.0
LEASE = 15.0
OBJECTS = [ResultObject("2.25.1", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "j/2.25.1.dcm")]


class Broker:
    """One that is away: every ring is lost."""

    def ring(self, waiting):
        raise OSError("no broker")


@pytest.fixture
def keeper(tmp_path):
    settings = Settings(work=Work(lease=timedelta(seconds=LEASE)))
    with closing(SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        house = Housekeeper(settings, ledger, Enqueuer(settings, ledger, Broker()), Spool(tmp_path / "spool"))
        house.ledger = ledger
        yield house


@pytest.fixture
def pass_by(monkeypatch):
    """pass_by(seconds) moves the clock that nobody sets."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(node.housekeeping, "time", clock)

    def move(seconds):
        clock.now += seconds

    return move


def claim(keeper, at):
    add_job(keeper.ledger)
    job = keeper.ledger.claim_job(JOB.id, "worker", at + LEASE, at)
    assert job is not None
    return job


def state(keeper):
    return keeper.ledger.get_job(JOB.id).state


def test_set_forward_a_running_job_is_queued_again_and_what_its_worker_writes_is_thrown_away(keeper):
    job = claim(keeper, time.time())
    keeper.tick(time.time() + HOUR)
    assert state(keeper) == State.QUEUED
    assert not keeper.ledger.extend_lease(job.id, job.token, time.time() + HOUR)
    with pytest.raises(LostLease):
        keeper.ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=OBJECTS)
    assert keeper.ledger.find_deliveries(job.id) == []


def test_set_back_a_dead_worker_s_job_does_not_wait_until_the_clock_has_caught_up(keeper, pass_by):
    now = time.time() - HOUR
    claim(keeper, now + HOUR)
    keeper.tick(now)
    assert state(keeper) == State.CLAIMED
    pass_by(2 * LEASE + 0.1)
    keeper.tick(now + 2 * LEASE + 0.1)
    assert state(keeper) == State.QUEUED


def test_set_back_a_worker_that_still_renews_its_lease_keeps_its_job(keeper, pass_by):
    now = time.time() - HOUR
    job = claim(keeper, now + HOUR)
    for step in range(8):
        keeper.tick(now + step * LEASE / 3)
        pass_by(LEASE / 3)
        assert keeper.ledger.extend_lease(job.id, job.token, now + step * LEASE / 3 + LEASE + LEASE)
    assert state(keeper) == State.CLAIMED
