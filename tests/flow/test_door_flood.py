"""Many connections that say nothing, and a thousand that say almost the right thing."""

import contextlib
import resource
import select
import socket
import struct
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from tests.flow.door import Door, make_images, read_kept, store_one
from tests.flow.wire import RELEASE_RQ, make_echo, make_pdu, make_request, make_store, split

CONNECTIONS = 10_000
HELD = 200


@pytest.fixture
def many_files():
    """Room for the sockets, here and in the door, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 1000:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def find_open(sockets):
    """Indices of those that the other side has not closed."""
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLIN | select.POLLRDHUP)
    gone = {number for number, _ in poll.poll(0)}
    return [index for index, one in enumerate(sockets) if one.fileno() not in gone]


def test_of_10_000_half_open_connections_the_youngest_are_held(many_files, tmp_path):
    sockets = []
    limits = f'max_half_open = {HELD}\nhandshake_timeout = "PT4S"'
    with Door(tmp_path, limits) as door:
        ((uid, dataset),) = make_images(1, seed=20)
        store_one(door, uid, dataset)
        try:
            with door.watch() as watch:
                for index in range(CONNECTIONS):
                    sockets.append(socket.create_connection(door.address, 20))
                    if index % 3 == 0:
                        sockets[-1].send(make_request()[: index % 70])
                    if index % 50 == 49:
                        time.sleep(0.005)  # or the watch's own connection is an old one before it can speak
                door.wait_until(lambda: len(find_open(sockets)) <= HELD, 3)
                held = find_open(sockets)
                door.wait_until(lambda: not find_open(sockets), 8)
            watch.expect_calm()
            assert len(held) > HELD / 2
            assert min(held) > CONNECTIONS - 2 * HELD
            assert store_one(door, *next(make_images(1, seed=21))) == 0x0000
            door.expect_clean_log()
        finally:
            for one in sockets:
                one.close()


def test_those_who_are_refused_and_do_not_leave_keep_nobody_out(tmp_path):
    sockets = []
    with Door(tmp_path, "max_associations = 8") as door:
        try:
            with door.watch() as watch:
                for _ in range(200):
                    sockets.append(socket.create_connection(door.address, 20))
                    sockets[-1].sendall(make_request(called="SOMEBODY"))
                for _ in range(15):
                    for one in sockets:
                        with contextlib.suppress(OSError):
                            one.send(b"\0")
                    time.sleep(0.2)
            watch.expect_calm()
        finally:
            for one in sockets:
                one.close()


def test_connections_that_are_reset_at_once_are_no_news(tmp_path):
    with Door(tmp_path) as door:
        with door.watch() as watch:
            for _ in range(500):
                with socket.create_connection(door.address, 20) as link:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        watch.expect_calm()
        door.expect_clean_log()


IMAGE_UID, IMAGE = next(make_images(1, side=16, seed=22))
TALK = [
    make_request(),
    *split(1, True, make_store(IMAGE_UID), 16384),
    *split(1, False, IMAGE, 512),
    *split(3, True, make_echo(2), 16384),
    make_pdu(RELEASE_RQ, b"\0" * 4),
]
"""A whole, right conversation: an image, a C-ECHO, goodbye."""

INTERESTING = [b"\0", b"\xff", b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x04\0\0\0", b"\1\0" * 8]


@st.composite
def mutated_talks(draw):
    """TALK with PDUs dropped, said twice, exchanged, and with bytes changed, put in or cut out."""
    pdus = list(TALK)
    for _ in range(draw(st.integers(0, 2))):
        one, other = draw(st.integers(0, len(pdus) - 1)), draw(st.integers(0, len(pdus) - 1))
        match draw(st.sampled_from(["drop", "twice", "swap"])):
            case "drop" if len(pdus) > 1:
                del pdus[one]
            case "twice":
                pdus.insert(other, pdus[one])
            case "swap":
                pdus[one], pdus[other] = pdus[other], pdus[one]
    for _ in range(draw(st.integers(0 if pdus != TALK else 1, 4))):
        index = draw(st.integers(0, len(pdus) - 1))
        # Headers are where lengths and kinds are: half of the changes go there.
        reach = draw(st.sampled_from([12, len(pdus[index])]))
        place = draw(st.integers(0, min(reach, len(pdus[index]))))
        value = draw(st.one_of(st.sampled_from(INTERESTING), st.binary(min_size=1, max_size=8)))
        pdu = pdus[index]
        match draw(st.sampled_from(["change", "insert", "cut", "end"])):
            case "change":
                pdus[index] = pdu[:place] + value + pdu[place + len(value) :]
            case "insert":
                pdus[index] = pdu[:place] + value + pdu[place:]
            case "cut":
                pdus[index] = pdu[:place] + pdu[place + len(value) :]
            case "end":
                pdus[index] = pdu[:place]
    return b"".join(pdus)


def play(address, data):
    """Says it all, hangs up, and hears the door out."""
    with socket.create_connection(address, 5) as link:
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
        except ConnectionError:
            pass


def test_a_thousand_mutated_conversations_leave_the_door_as_it_was(tmp_path):
    played = set()
    with Door(tmp_path, 'handshake_timeout = "PT10S"\nidle_timeout = "PT10S"') as door:
        play(door.address, b"".join(TALK))
        door.expect_row(IMAGE_UID, IMAGE)

        @settings(
            max_examples=1300,  # some come twice
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(mutated_talks())
        def attack(data):
            played.add(data)
            play(door.address, data)

        with door.watch() as watch:
            attack()
        watch.expect_calm()
        assert len(played) >= 1000
        door.wait_until(lambda: not door.find_parts(), 5)
        for path in door.find_kept():
            read_kept(path)
            assert dcmread(path, stop_before_pixels=True).SOPInstanceUID
        door.expect_row(IMAGE_UID, IMAGE)
        assert store_one(door, *next(make_images(1, seed=23))) == 0x0000
        door.expect_clean_log()
