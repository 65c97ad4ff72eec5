"""What merely waits costs nothing: not for who looks at jobs, nor for who sends."""

import time
from itertools import chain, combinations

import pytest
from sqlalchemy import event, update

from node.errors import LostLease
from node.ledger import deliveries as rows
from node.ledger.tables import delivery, job
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound import deliver
from node.outbound.confirm import _settle, settle_jobs
from tests.node.outbound.house import CT, House, on_store, peer, serving
from tests.ports import free_port


def set_states(house, job_id, job_state, states):
    """The job is in `job_state`, its objects in `states`, whatever they were."""
    with house.ledger._engine.begin() as db:
        db.execute(update(job).where(job.c.id == job_id).values(state=job_state))
        for item, state in zip(house.ledger.find_objects(job_id), states, strict=True):
            key = (delivery.c.job_id == job_id) & (delivery.c.sop_instance_uid == item.sop_instance_uid)
            db.execute(update(delivery).where(key).values(state=state))


def is_moved(ledger, one):
    try:
        _settle(ledger, one, ledger.find_deliveries(one.id))
    except LostLease:
        return False
    return ledger.get_job(one.id) != one


@pytest.mark.parametrize("state", [State.ENCODED, State.DELIVERED])
def test_the_jobs_that_are_looked_at_are_those_that_move(tmp_path, state):
    house = House(tmp_path, {"pacs": peer(free_port())}, jobs=0)
    every = list(chain.from_iterable(combinations(DeliveryState, n) for n in range(len(DeliveryState) + 1)))
    for number, states in enumerate(every):
        set_states(house, house.add_job(number, len(states)), state, states)
    found = {one.id for one in house.ledger.find_movable()}
    jobs = house.ledger.find_jobs(states=[state])
    assert len(jobs) == 2 ** len(DeliveryState)
    assert {one.id for one in jobs if is_moved(house.ledger, one)} == found
    assert not house.ledger.find_movable()


def test_jobs_that_wait_for_a_peer_that_is_away_are_not_asked_for_one_by_one(tmp_path):
    house = House(tmp_path, {"pacs": peer(free_port())}, jobs=12, slices=1)
    asked = []
    event.listen(house.ledger._engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    settle_jobs(house.ledger)
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1


def test_what_is_not_due_is_not_read(tmp_path, monkeypatch):
    house = House(tmp_path, {"pacs": peer(free_port())}, slices=9)
    due, *later = house.deliveries()
    for one in later:
        house.ledger.move_delivery(one, DeliveryState.PENDING, "away", time.time() + 3600)
    read, real = [], rows.to_delivery
    monkeypatch.setattr(rows, "to_delivery", lambda row: read.append(row) or real(row))
    found = house.deliverers["pacs"]._find_pending(time.time())
    assert [one.object for one in found] == [due.object]
    assert len(read) == 1


def test_a_backlog_goes_out_round_by_round_the_oldest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(deliver, "AT_ONCE", 4)
    stored = []
    with serving((CT,), handlers=on_store(lambda uid: stored.append(uid) or 0x0000)) as port:
        house = House(tmp_path, {"pacs": peer(port)}, slices=3, jobs=0)
        ids = [house.add_job(number, 3) for number in (2, 1, 0)]
        uids = [item.sop_instance_uid for job_id in ids for item in house.ledger.find_objects(job_id)]
        for sent in (4, 8, 9):
            house.deliverers["pacs"].tick(time.time())
            assert stored == uids[:sent]
