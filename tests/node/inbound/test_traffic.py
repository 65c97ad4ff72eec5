"""How many and how fast: limits, a full disk, and workers that are far behind."""

import time

import pytest

import node.inbound.traffic
from node.errors import AssociationRejected
from node.inbound.spool import Spool
from node.inbound.traffic import DRAG, Traffic
from node.ledger import SqlLedger
from node.sections import Listen
from tests.jobs import add_job


@pytest.fixture
def make_traffic(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    made = []

    def make(most=100, min_free_mb=0.0, **limits):
        traffic = Traffic(Listen(**limits), most, Spool(tmp_path / "spool", min_free_mb), ledger)
        made.append(traffic)
        return traffic, ledger

    yield make
    for traffic in made:
        traffic.stop()
    ledger.close()


def refuse(action, *arguments):
    with pytest.raises(AssociationRejected) as refusal:
        action(*arguments)
    return refusal.value.result, refusal.value.source, refusal.value.reason


def test_associations_are_counted_in_all_and_for_each_peer(make_traffic):
    traffic, _ = make_traffic(max_associations=3, max_associations_per_peer=2)
    traffic.enter("A")
    traffic.enter("A")
    assert refuse(traffic.enter, "A") == (2, 3, 2)
    traffic.enter("B")
    assert refuse(traffic.enter, "C") == (2, 3, 2)
    traffic.leave("A")
    traffic.enter("C")


def test_no_more_are_let_in_than_descriptors_suffice_for(make_traffic):
    traffic, _ = make_traffic(most=1)
    traffic.enter("A")
    assert refuse(traffic.enter, "B") == (2, 3, 2)


def test_a_full_disk_refuses_for_the_time_being(make_traffic):
    traffic, _ = make_traffic(min_free_mb=1e12)
    assert refuse(traffic.check_room) == (2, 3, 1)


@pytest.mark.parametrize(
    ("policy", "refused", "drag"), [("accept", False, 0.0), ("slow", False, DRAG), ("refuse", True, 0.0)]
)
def test_workers_far_behind_are_met_by_the_policy(make_traffic, policy, refused, drag):
    traffic, ledger = make_traffic(busy_jobs=1, when_busy=policy)
    for number in range(2):
        add_job(ledger, id=f"{number:032x}", study_uid=f"1.2.{number}")
    traffic.start()
    patience = time.monotonic() + 20
    while not traffic.is_busy and time.monotonic() < patience:
        time.sleep(0.01)
    assert traffic.is_busy
    assert traffic.drag == drag
    if refused:
        assert refuse(traffic.check_room) == (2, 3, 1)
    else:
        traffic.check_room()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now, self.pauses = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def test_a_peer_that_sends_too_fast_is_slowed_to_its_pace(make_traffic, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(node.inbound.traffic, "time", clock)
    traffic, _ = make_traffic(max_stores_per_second=50)
    for _ in range(75):
        traffic.find_lane("A").wait()
    assert sum(clock.pauses) == pytest.approx(0.5)  # a second's worth at once, 25 more at 50/s
    assert max(clock.pauses) == pytest.approx(1 / 50)
    clock.pauses.clear()
    traffic.find_lane("B").wait()
    assert clock.pauses == []
