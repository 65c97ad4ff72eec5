"""Nothing that goes wrong stops what has nothing to do with it."""

import time
from contextlib import closing

import pytest
from kombu.exceptions import OperationalError

from node.config import Settings
from node.housekeeping import Housekeeper
from node.inbound.enqueue import PAUSE, Enqueuer
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.model.job import State
from node.model.study import StudyState
from tests.jobs import JOB, add_job, add_study


class Broker:
    """Counts the rings; away while `away`."""

    def __init__(self):
        self.rings, self.away = 0, False

    def ring(self, _counts):
        self.rings += 1
        if self.away:
            raise OperationalError("no route to the broker")


@pytest.fixture
def ledger(tmp_path):
    with closing(SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        yield ledger


@pytest.fixture
def keeper(ledger, tmp_path):
    settings, broker = Settings(), Broker()
    keeper = Housekeeper(settings, ledger, Enqueuer(settings, ledger, broker), Spool(tmp_path / "spool"))
    keeper.broker = broker
    return keeper


def open_studies(ledger):
    return [study.study_uid for study in ledger.find_studies(StudyState.RECEIVING)]


def test_a_study_that_cannot_be_judged_stops_no_other_and_is_tried_again_later(keeper, ledger, monkeypatch):
    for uid in ("1.2.3", "1.2.4"):
        add_study(ledger, uid)
    tried, judge = [], keeper._enqueuer._judge

    def stumble(study, *more):
        tried.append(study.study_uid)
        if study.study_uid == "1.2.3" and len(tried) < 5:
            raise ValueError("what nobody foresaw")
        return judge(study, *more)

    monkeypatch.setattr(keeper._enqueuer, "_judge", stumble)
    now = time.time()
    for second in (0, 1, PAUSE - 1):
        keeper.tick(now + second)
        assert open_studies(ledger) == ["1.2.3"]
    assert tried.count("1.2.3") == 1
    tried.extend(["1.2.4"] * 3)
    keeper.tick(now + PAUSE + 1)
    assert open_studies(ledger) == []


def test_what_goes_wrong_in_one_step_is_told_when_the_others_are_done(keeper, ledger, monkeypatch):
    add_job(ledger)
    now = time.time()
    assert ledger.claim_next(["gpu"], "worker", now - 1, now - 60) is not None

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ledger, "find_studies", fail)
    with pytest.raises(ExceptionGroup) as told:
        keeper.tick(now)
    assert [type(error) for error in told.value.exceptions] == [OSError]
    assert ledger.get_job(JOB.id).state == State.QUEUED
    assert "WorkerLost" in [event.text for event in ledger.find_history(JOB.id)][-1]


def test_a_broker_that_is_away_is_waited_for_once_and_not_for_every_job(keeper, ledger):
    keeper.broker.away = True
    job = add_job(ledger)
    assert [keeper._enqueuer.ring([job]) for _ in range(5)] == [False] * 5
    assert keeper.broker.rings == 1
