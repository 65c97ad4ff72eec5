"""An instance is kept byte for byte, however its sender cuts it up, paces it, or races others with it."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.flow.door import Door, make_images, read_kept, store_one
from tests.flow.wire import (
    ABORT,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Closed,
    make_echo,
    make_pdu,
    make_pdv,
    make_request,
    make_store,
    split,
)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with Door(tmp_path_factory.mktemp("door")) as door:
        yield door


def send_pieces(door, uid, pieces, pause):
    """The status of a C-STORE whose bytes go out piece by piece."""
    with door.wire() as wire:
        wire.associate()
        for piece in pieces:
            wire.send(piece)
            time.sleep(pause)
        status = wire.read_status()
        wire.release()
    return status


@pytest.mark.parametrize("size", [512, 4096, 16384, 65536, 131072])
def test_pdus_that_come_one_by_one(door, size):
    ((uid, dataset),) = make_images(1, side=300, seed=size % 997)
    pieces = [*split(1, True, make_store(uid), size), *split(1, False, dataset, size)]
    assert send_pieces(door, uid, pieces, 0.3 / len(pieces)) == 0x0000
    door.expect_row(uid, dataset)


def test_pieces_that_know_nothing_of_pdus(door):
    chance = random.Random(5)
    for uid, dataset in make_images(6, side=200, seed=41):
        size = chance.choice([3000, 16384, 50000])
        said = b"".join([*split(1, True, make_store(uid), size), *split(1, False, dataset, size)])
        cuts = sorted(chance.sample(range(1, len(said)), 40))
        pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        assert send_pieces(door, uid, pieces, 0.002) == 0x0000
        door.expect_row(uid, dataset)


def test_many_small_values_in_one_pdu(door):
    ((uid, dataset),) = make_images(1, side=100, seed=42)
    sizes = [1, 2, 7, 100, 1500]
    items, start = [make_pdv(1, 3, make_store(uid))], 0
    while start < len(dataset):
        size = sizes[len(items) % len(sizes)]
        last = start + size >= len(dataset)
        items.append(make_pdv(1, 2 * last, dataset[start : start + size]))
        start += size
    pdus = [make_pdu(P_DATA, b"".join(items[k : k + 60])) for k in range(0, len(items), 60)]
    assert send_pieces(door, uid, pdus, 0.001) == 0x0000
    door.expect_row(uid, dataset)


def test_values_of_no_length_between_the_others(door):
    ((uid, dataset),) = make_images(1, seed=43)
    empty, half = make_pdv(1, 0, b""), len(dataset) // 2
    items = [empty, make_pdv(1, 0, dataset[:half]), empty, make_pdv(1, 0, dataset[half:]), make_pdv(1, 2, b"")]
    pieces = [make_pdu(P_DATA, make_pdv(1, 3, make_store(uid))), *(make_pdu(P_DATA, item) for item in items)]
    assert send_pieces(door, uid, pieces, 0.005) == 0x0000
    door.expect_row(uid, dataset)


def test_a_whole_conversation_in_one_breath(door):
    images = list(make_images(20, seed=44))
    said = [make_request()]
    for number, (uid, dataset) in enumerate(images, start=1):
        said += [*split(1, True, make_store(uid, message_id=number), 65536), *split(1, False, dataset, 65536)]
        said += split(3, True, make_echo(number), 65536)
    said.append(make_pdu(RELEASE_RQ, b"\0" * 4))
    with door.wire() as wire:
        wire.send(b"".join(said))
        wire.read_pdu()
        assert [wire.read_status() for _ in range(2 * len(images))] == [0x0000] * 40
        assert wire.read_pdu()[0] == RELEASE_RP
    for uid, dataset in images:
        door.expect_row(uid, dataset)


def test_many_senders_at_once_each_in_its_own_rhythm(door):
    images = list(make_images(24, side=256, seed=45))
    failures = []

    def send(number):
        chance = random.Random(number)
        for uid, dataset in images[number::8]:
            pdus = [*split(1, True, make_store(uid), 16384), *split(1, False, dataset, chance.choice([2000, 16384]))]
            if send_pieces(door, uid, pdus, chance.uniform(0, 0.002)):
                failures.append(uid)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for uid, dataset in images:
        door.expect_row(uid, dataset)


def race(door, datasets, uid):
    """The statuses of `datasets`, all sent as `uid` at the same moment."""
    statuses, barrier = [], threading.Barrier(len(datasets))

    def send(dataset):
        with door.wire() as wire:
            wire.associate()
            barrier.wait()
            statuses.append(wire.store(uid, dataset))
            wire.release()

    threads = [threading.Thread(target=send, args=(dataset,)) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_the_same_image_from_eight_senders_at_once_is_kept_once(door):
    for uid, dataset in make_images(5, seed=46):
        held = len(door.find_kept())
        assert race(door, [dataset] * 8, uid) == [0x0000] * 8
        door.expect_row(uid, dataset)
        assert len(door.find_kept()) == held + 1
    assert door.find_parts() == []


def test_of_two_contents_under_one_uid_one_is_kept_and_the_other_set_aside(door):
    for number, (uid, dataset) in enumerate(make_images(10, seed=47)):
        other = dataset[:-4] + b"\x01\x02\x03\x04"
        held, aside = len(door.find_kept()), len(door.find_quarantined())
        statuses = (
            race(door, [dataset, other], uid) if number % 2 else [store_one(door, uid, d) for d in (dataset, other)]
        )
        assert min(statuses) == 0x0000
        assert max(statuses) & 0xF000 == 0xC000
        row = door.wait_until(lambda uid=uid: door.ledger.find_instance(uid), 3)
        assert read_kept(door.spool / row.path)[1] in (dataset, other)
        assert (len(door.find_kept()), len(door.find_quarantined())) == (held + 1, aside + 1)
    assert door.find_parts() == []


def test_a_release_in_the_middle_of_an_image_is_no_release(door):
    study = "1.2.3.77"
    (first, second) = make_images(2, seed=48, study=study)
    with door.wire() as wire:
        wire.associate()
        assert wire.store(*first) == 0x0000
        wire.send(make_pdu(P_DATA, make_pdv(1, 3, make_store(second[0]))))
        wire.send(make_pdu(P_DATA, make_pdv(1, 0, second[1][:2000])) + make_pdu(RELEASE_RQ, b"\0" * 4))
        assert wire.read_to_end(5) in ([ABORT], [RELEASE_RP])
    ((_, _, _, how),) = door.wait_until(
        lambda: [row for row in door.ledger.find_associations(study) if row[2] is not None], 3
    )
    assert how == "aborted"
    assert door.find_parts() == []


def test_two_processes_share_one_door(tmp_path):
    images = list(make_images(60, seed=49))
    with Door(tmp_path, "processes = 2") as door:
        door.wait_until(lambda: len(find_listeners(door)) == 2, 20)
        wires = [door.wire() for _ in range(12)]
        try:
            for wire in wires:
                wire.associate()
            statuses = [wires[k % 12].store(*image) for k, image in enumerate(images)]
            assert set(statuses) == {0x0000}
            for wire in wires:
                wire.release()
        finally:
            for wire in wires:
                wire.socket.close()
        for uid, dataset in images:
            door.expect_row(uid, dataset)
        assert door.stop() == 0


def find_listeners(door):
    """The sockets that listen on the port (proc(5), net/tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = f":{door.address[1]:04X}"
    return {row[9] for row in rows if row[1].endswith(wanted) and row[3] == "0A"}


def test_a_kill_of_one_process_of_two_costs_its_associations_alone(tmp_path):
    images = list(make_images(40, seed=50))
    with Door(tmp_path, "processes = 2") as door:
        door.wait_until(lambda: len(find_listeners(door)) == 2, 20)
        wires = [door.wire().associate() for _ in range(12)]
        answered = {}
        for k, (uid, dataset) in enumerate(images[:24]):
            assert wires[k % 12].store(uid, dataset) == 0x0000
            answered[uid] = dataset
        victim = max(door.find_pids())
        os.kill(victim, signal.SIGKILL)
        living = 0
        for wire, (uid, dataset) in zip(wires, images[24:36], strict=True):
            try:
                assert wire.store(uid, dataset) == 0x0000
                answered[uid], living = dataset, living + 1
                wire.release()
            except Closed:
                continue
        assert 0 < living < 12
        door.wait_until(lambda: len(find_listeners(door)) == 2 and victim not in door.find_pids(), 20)
        for uid, dataset in answered.items():
            door.expect_row(uid, dataset, seconds=10)
