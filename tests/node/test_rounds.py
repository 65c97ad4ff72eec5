"""A loop of a role rests while there is no news, and goes on at once when there is."""

import sqlite3
from contextlib import closing
from threading import Event, Thread

import pytest

from node import rounds
from node.ledger import SqlLedger
from node.rounds import keep_going
from tests.jobs import add_job, add_study
from tests.waiting import wait_until

NEVER = 1e6
PAUSE = 0.005


@pytest.fixture
def go(monkeypatch):
    """go(step, look) runs a loop that never steps for want of news; ended with the test."""
    monkeypatch.setattr(rounds, "REST", NEVER)
    stop, threads = Event(), []

    def start(step, look):
        threads.append(Thread(target=keep_going, args=("the test", step, PAUSE, stop, look)))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def make_steps(answer=None):
    steps = []
    return steps, lambda now: steps.append(now) or answer


def test_without_news_there_is_one_step_and_with_news_one_more(go):
    (steps, step), news, looks = make_steps(), [1], []
    go(step, lambda: looks.append(1) or news[0])
    for round_ in (1, 2, 3):
        assert wait_until(lambda n=round_: len(steps) == n)
        seen = len(looks)
        assert wait_until(lambda n=seen: len(looks) > n + 5)
        assert len(steps) == round_
        news[0] += 1


def test_what_is_written_while_a_step_runs_is_news(go):
    news, steps = [1], []

    def step(_now):
        steps.append(1)
        if len(steps) == 1:
            news[0] += 1

    go(step, lambda: news[0])
    assert wait_until(lambda: len(steps) == 2)


def test_a_step_that_says_that_something_is_due_soon_is_not_left_waiting(go):
    steps, step = make_steps(answer=True)
    go(step, lambda: 1)
    assert wait_until(lambda: len(steps) > 5)


def test_without_news_a_step_comes_all_the_same_after_a_rest(go, monkeypatch):
    monkeypatch.setattr(rounds, "REST", 0.02)
    steps, step = make_steps()
    go(step, lambda: 1)
    assert wait_until(lambda: len(steps) > 5)


def test_what_cannot_be_looked_at_and_what_stumbled_are_tried_again(go, monkeypatch):
    monkeypatch.setattr(rounds, "RECOVERY", 0.0)
    steps, step = make_steps()

    def look():
        raise sqlite3.OperationalError("disk I/O error")

    go(step, look)
    assert wait_until(lambda: len(steps) > 5)
    stumbled = []

    def stumble(_now):
        stumbled.append(1)
        raise ValueError("what nobody foresaw")

    go(stumble, lambda: 1)
    assert wait_until(lambda: len(stumbled) > 5)


def test_the_ledger_shows_what_anybody_wrote_and_nothing_else(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(SqlLedger(url)) as ours, closing(SqlLedger(url)) as other:
        seen = ours.look()
        ours.find_jobs()
        other.find_due("pacs", 0.0, 5)
        assert not ours.extend_lease("no job", "no token", 5.0)
        assert ours.look() == seen
        add_job(ours)
        assert ours.look() != seen
        seen = ours.look()
        add_study(other, "1.2.4")
        assert ours.look() != seen
