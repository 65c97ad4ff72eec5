"""Several associations to one destination, and what must not overtake what."""

import threading
import time
from dataclasses import replace

from pynetdicom import evt

from node.model.delivery import Delivery, DeliveryState, Kind, ResultObject
from node.model.job import State
from node.outbound.lanes import make_batches, split
from tests.node.outbound.house import House, on_store, peer, serving
from tests.ports import free_port


def make(number, job="a", substitute="", kind=Kind.REPORT):
    item = ResultObject(f"1.{number}", "1.2", "SR", f"{number}", kind, substitute)
    return Delivery(job, "pacs", item, DeliveryState.PENDING, 0, 0.0, "", "", 0.0, 0.0)


def test_lanes_are_of_about_the_same_size_and_keep_the_order():
    deliveries = [make(number) for number in range(7)]
    sizes = dict(zip((d.object.path for d in deliveries), (9, 1, 8, 2, 7, 3, 6), strict=True))
    lanes = split(deliveries, 3, lambda d: sizes[d.object.path])
    assert sorted(sum(sizes[d.object.path] for d in lane) for lane in lanes) == [11, 12, 13]
    assert all(lane == sorted(lane, key=deliveries.index) for lane in lanes)
    assert sorted(d.object.path for lane in lanes for d in lane) == sorted(sizes)


def test_what_names_a_replaceable_segmentation_stays_behind_it():
    deliveries = [make(0, substitute="1.8", kind=Kind.SEGMENTATION), make(1, substitute="1.9"), make(2), make(3)]
    lanes = split(deliveries, 8, lambda _: 1)
    assert deliveries[:2] in lanes
    assert len(lanes) == 3
    other = [replace(delivery, job_id="b") for delivery in deliveries]
    assert other[:2] in split([*deliveries, *other], 8, lambda _: 1)


def test_no_lane_is_empty():
    assert split([], 4, lambda _: 1) == []
    assert split([make(1)], 4, lambda _: 1) == [[make(1)]]


def test_what_an_answer_decides_on_goes_alone():
    deliveries = [make(0), make(1), make(2, substitute="1.8"), make(3, substitute="1.9"), make(4), make(5), make(6)]
    batches = [[d.object.path for d in batch] for batch in make_batches(deliveries, 2)]
    assert batches == [["0", "1"], ["2"], ["3"], ["4", "5"], ["6"]]


def test_a_slow_peer_is_served_on_as_many_associations_as_it_is_allowed(tmp_path):
    open_now, most, lock = set(), [0], threading.Lock()

    def slow(_uid):
        time.sleep(0.15)
        return 0x0000

    def note(event, opened):
        with lock:
            (open_now.add if opened else open_now.discard)(id(event.assoc))
            most[0] = max(most[0], len(open_now))

    handlers = [*on_store(slow), (evt.EVT_ACCEPTED, note, [True]), (evt.EVT_RELEASED, note, [False])]
    with serving(handlers=handlers) as port:
        house = House(tmp_path, {"pacs": peer(port, associations=4)}, slices=16)
        house.deliverers["pacs"].tick(time.time())
    assert most[0] == 4
    assert house.state() == State.CONFIRMED


def test_a_peer_that_allows_fewer_associations_still_gets_all(tmp_path):
    from pynetdicom import AE

    stored, entity = [], AE("PACS")
    entity.maximum_associations = 1
    entity.add_supported_context("1.2.840.10008.1.1")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")

    def slow(uid):
        time.sleep(0.05)
        stored.append(uid)
        return 0x0000

    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=on_store(slow))
    try:
        house = House(tmp_path, {"pacs": peer(port, associations=2)}, slices=4, retry_longest="PT1S")
        house.run_until(lambda: house.state() == State.CONFIRMED, 60)
    finally:
        server.shutdown()
    assert len(stored) == len(set(stored)) == 4
    assert not house.circuit().is_open
