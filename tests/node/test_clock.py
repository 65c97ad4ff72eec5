"""The system clock is set forward or back while a job runs: it costs a run at most, never a result or hours."""

import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

import node.clock
import node.housekeeping
from node.clock import Clock
from node.config import Settings
from node.errors import LostLease
from node.housekeeping import Housekeeper
from node.inbound.enqueue import PAUSE, Enqueuer
from node.inbound.spool import Spool
from node.inbound.submit import make_submission
from node.ledger import SqlLedger
from node.ledger.waits import WAITS
from node.model.commitment import Commitment
from node.model.delivery import ResultObject
from node.model.expectation import Expectation, Kind
from node.model.job import State
from node.model.study import StudyState
from node.sections import Work
from tests.jobs import JOB, add_job, add_study

HOUR = 3600.0
DAY = 86400.0
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


@pytest.fixture
def hands(monkeypatch):
    """A wall clock and a monotonic one that the test moves."""
    hands = SimpleNamespace(wall=2e9, steady=1000.0, time=lambda: hands.wall, monotonic=lambda: hands.steady)
    monkeypatch.setattr(node.clock, "time", hands)
    return hands


@pytest.fixture
def keeper_with_hands(hands, keeper, monkeypatch):
    monkeypatch.setattr(node.housekeeping, "time", hands)
    keeper._clock = Clock(keeper.ledger, LEASE)
    return keeper


def test_set_forward_a_worker_that_looked_at_the_clock_before_keeps_its_job_for_a_lease(hands, keeper_with_hands):
    keeper, read_before = keeper_with_hands, hands.wall
    job = claim(keeper, read_before)
    hands.wall += DAY
    keeper.tick(hands.wall)
    keeper.ledger.extend_lease(job.id, job.token, read_before + LEASE)
    for seconds, expected in ((LEASE - 1, State.CLAIMED), (2, State.QUEUED)):
        hands.wall, hands.steady = hands.wall + seconds, hands.steady + seconds
        keeper.tick(hands.wall)
        assert state(keeper) == expected


def test_set_back_a_round_that_began_before_takes_no_job_back(hands, keeper_with_hands):
    keeper, read_before = keeper_with_hands, hands.wall
    claim(keeper, read_before)
    hands.wall -= DAY
    keeper.tick(read_before)
    assert state(keeper) == State.CLAIMED


def test_set_back_a_round_that_began_before_closes_no_study(hands, keeper_with_hands):
    keeper, read_before = keeper_with_hands, hands.wall
    add_study(keeper.ledger, "1.2.9", at=read_before)
    look, waited = keeper.ledger.find_studies, []

    def find(*which):
        if not waited:  # meanwhile somebody sets the clock, and the thread that looks at it notices
            waited.append(hands.wall)
            hands.wall -= DAY
            keeper._clock.tick()
        return look(*which)

    keeper.ledger.find_studies = find
    keeper._go_round(0.0)
    keeper.ledger.find_studies = look
    assert waited and keeper.ledger.find_study("1.2.9").state == StudyState.RECEIVING
    hands.wall, hands.steady = hands.wall + 60, hands.steady + 60
    keeper._go_round(0.0)
    assert keeper.ledger.find_study("1.2.9").state == StudyState.COMPLETE


# What waits moves with the clock


@pytest.fixture
def ledger(tmp_path):
    with closing(SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        yield ledger


@pytest.fixture
def watched(ledger, hands):
    """A Clock on both."""
    clock = Clock(ledger, LEASE)
    clock.hands = hands
    return clock


def fill(ledger, now):
    """One of each that waits, since a minute ago and for another minute; what has ended; and the rows as they are."""
    study = add_study(ledger, "1.2.9", at=now - 60)
    ledger.put_expectation(Expectation(study.study_uid, Kind.COUNT, "pacs", now - 60, 5, "", now - 60, now + 60, 1))
    ledger.add_asking("1.2.8", "job", "PACS", now - 60, now + 60)
    for number, state in enumerate((State.QUEUED, State.CLAIMED, State.ENCODED, State.CONFIRMED)):
        ledger.add_job(replace(JOB, id=f"{number:032x}", created_at=now - 60, ready_at=now + 60), "match", "made")
        if state != State.QUEUED:
            job = ledger.claim_job(f"{number:032x}", "worker", now + LEASE, now)
        if state == State.ENCODED:
            ledger.move_job(job, state, now - 60, "encode", objects=OBJECTS)
        if state == State.CONFIRMED:
            job = ledger.move_job(job, State.ENCODED, now - 60, "encode")
            ledger.move_job(ledger.move_job(job, State.DELIVERED, now - 60, "deliver"), state, now - 60, "confirm")
    (delivery,) = ledger.find_deliveries()
    ledger.move_delivery(delivery, delivery.state, "away", now + 60)
    ledger.add_commitment(Commitment("2.25.9", "PACS", (("1.2", "1.2.3"),), now - 60, now + 60, 1))
    ledger.fail_circuit("pacs", now - 60, "away", 1, lambda _: 120.0)
    ledger.submit(make_submission("1.2.7", "pacs", "chest", "", now - 60))


def read_times(ledger):
    """{(table, column, row): time} of all that waits, but for leases."""
    times = {}
    with ledger._engine.connect() as db:
        for wait in WAITS:
            for number, row in enumerate(db.execute(select(wait.table).where(wait.rows))):
                for column in (*wait.since, *wait.until, *wait.both):
                    times[wait.table.name, column, number] = row._mapping[column]
    return {key: at for key, at in times.items() if at}


def test_every_table_of_what_waits_was_filled(ledger):
    fill(ledger, 2e9)
    filled = {table for table, *_ in read_times(ledger)}
    assert {wait.table.name for wait in WAITS} - filled == {"history", "notice", "message", "hook", "hook_notice"}


@pytest.mark.parametrize("by", [DAY, 30.0, -30.0, -DAY, -365 * DAY])
def test_what_waits_has_waited_as_long_as_before_and_waits_no_longer(ledger, watched, by):
    fill(ledger, watched.hands.wall)
    before = read_times(ledger)
    watched.hands.wall += by
    watched.tick()
    now = watched.hands.wall
    later = {key: at - now for key, at in read_times(ledger).items()}
    until = {(wait.table.name, column) for wait in WAITS for column in wait.until}
    for key, at in before.items():
        if key[:2] in until and (by > -DAY or at <= now - by):
            assert later[key] <= max(at - (now - by), 0.0), key  # due as soon, or a try too many
            continue
        assert later[key] == pytest.approx(at - (now - by)), key


def test_a_lease_lasts_from_the_moment_in_which_the_clock_was_set(ledger, watched):
    fill(ledger, watched.hands.wall)
    for by in (DAY, -2 * DAY):
        watched.hands.wall += by
        watched.tick()
        (job,) = ledger.find_jobs(states=[State.CLAIMED])
        assert job.lease_until == watched.hands.wall + LEASE
        assert ledger.find_overdue(watched.hands.wall, 0.0)[0] == []


def test_what_has_ended_keeps_the_time_that_it_was_given(ledger, watched):
    fill(ledger, watched.hands.wall)
    (done,) = ledger.find_jobs(states=[State.CONFIRMED])
    history = ledger.find_history(done.id)
    watched.hands.wall -= DAY
    watched.tick()
    assert ledger.get_job(done.id) == done
    assert ledger.find_history(done.id) == history


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_what_was_written_after_the_clock_was_set_is_not_moved(ledger, watched, by):
    watched.hands.wall += by
    now = watched.hands.wall
    study = add_study(ledger, "1.2.9", at=now - 0.2)
    ledger.submit(make_submission("1.2.7", "pacs", "chest", "", now - 0.2))
    watched.tick()
    assert ledger.find_study("1.2.9") == study
    assert ledger.find_submissions()[0].asked_at == now - 0.2


def test_what_is_written_late_by_a_clock_that_was_read_before_it_was_set_back_is_moved_too(ledger, watched):
    old = watched.hands.wall
    watched.hands.wall -= DAY
    watched.tick()
    study = add_study(ledger, "1.2.9", at=old)
    fresh = add_study(ledger, "1.2.8", at=old - DAY - 0.2)
    ledger.submit(make_submission("1.2.7", "pacs", "chest", "", old))
    (asked,) = ledger.find_submissions()
    ledger.move_submission(asked, asked.state, "away", old + 5)
    watched.hands.steady += 1.0
    watched.hands.wall += 1.0
    watched.tick()
    assert ledger.find_study("1.2.9").last_at == study.last_at - DAY
    assert ledger.find_study("1.2.8") == fresh
    (asked,) = ledger.find_submissions()
    assert (asked.asked_at, asked.next_at) == (old - DAY, old + 5 - DAY)
    watched.hands.steady += 100.0
    watched.hands.wall += 100.0
    watched.tick()
    later = add_study(ledger, "1.2.6", at=old)
    watched.hands.steady += 1.0
    watched.hands.wall += 1.0
    watched.tick()
    assert ledger.find_study("1.2.6") == later  # long after, nothing is looked for


def test_a_clock_that_drifts_is_none_that_was_set(ledger, watched):
    fill(ledger, watched.hands.wall)
    before = read_times(ledger)
    for _ in range(20):
        watched.hands.wall += 1.0
        watched.tick()
    assert read_times(ledger) == before


def test_where_the_ledger_cannot_be_written_the_next_look_tries_again(ledger, watched, monkeypatch):
    study = add_study(ledger, "1.2.9", at=watched.hands.wall)
    told = []
    watched.tell(told.append)
    watched.hands.wall -= DAY
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "move_waits", lambda *_: (_ for _ in ()).throw(OSError("disk")))
        with pytest.raises(OSError, match="disk"):
            watched.tick()
    assert told == []
    watched.tick()
    watched.tick()
    assert told == [-DAY]
    assert ledger.find_study("1.2.9").last_at == study.last_at - DAY


def test_at_the_start_what_began_later_than_now_began_now_and_the_rest_before(ledger, watched):
    now = watched.hands.wall
    add_study(ledger, "1.2.9", at=now + DAY)
    add_study(ledger, "1.2.8", at=now + DAY - 60)
    watched.start()
    watched.start()
    assert ledger.find_study("1.2.9").last_at == pytest.approx(now)
    assert ledger.find_study("1.2.8").last_at == pytest.approx(now - 60)


def test_set_forward_while_nobody_looked_what_waits_has_waited_no_longer(ledger, watched, tmp_path, monkeypatch):
    place = tmp_path / "clock"
    Clock(ledger, LEASE, place).start()
    study = add_study(ledger, "1.2.9", at=watched.hands.wall - 60)
    watched.hands.wall += DAY + 10
    watched.hands.steady += 10
    Clock(ledger, LEASE, place).start()
    Clock(ledger, LEASE, place).start()
    assert ledger.find_study("1.2.9").last_at == study.last_at + DAY
    monkeypatch.setattr(node.clock, "BOOT", tmp_path / "boot")  # the host started anew: who knows?
    (tmp_path / "boot").write_text("another")
    watched.hands.wall += DAY
    Clock(ledger, LEASE, place).start()
    assert ledger.find_study("1.2.9").last_at == study.last_at + DAY


@pytest.mark.parametrize("kept", ["", "x y z", "no number"])
def test_a_file_that_says_nothing_is_passed_over(ledger, watched, tmp_path, kept):
    (tmp_path / "clock").write_text(kept)
    Clock(ledger, LEASE, tmp_path / "clock").start()
    assert float((tmp_path / "clock").read_text().split()[1]) == watched.hands.wall - watched.hands.steady


def test_what_waits_in_memory_moves_too(tmp_path, monkeypatch):
    settings = Settings.model_validate({"node": {"home": tmp_path}, "orders": {"wait": "PT10S"}})
    with closing(SqlLedger(settings.ledger_url)) as ledger:
        study = add_study(ledger, "1.2.9", at=0.0)
        enqueuer = Enqueuer(settings, ledger, Broker())
        enqueuer._order_wait._peers = frozenset({"ris"})
        assert enqueuer._order_wait.find_reason(study, (), 100.0)
        enqueuer.move_clock(DAY)
        assert enqueuer._order_wait.find_reason(study, (), DAY + 105.0)
        assert not enqueuer._order_wait.find_reason(study, (), DAY + 111.0)
        monkeypatch.setattr(enqueuer, "_close", lambda *_: (_ for _ in ()).throw(ValueError("unforeseen")))
        enqueuer.close_complete(100.0)
        enqueuer.move_clock(-DAY)
        monkeypatch.setattr(enqueuer, "_close", lambda *_: True)
        assert enqueuer.close_complete(100.0 - DAY + PAUSE - 1) == 0
        assert enqueuer.close_complete(100.0 - DAY + PAUSE + 1) == 1
