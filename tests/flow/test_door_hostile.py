"""What no peer should say: the connection ends, and the door stays calm for everybody else."""

import contextlib
import socket
import struct
import zlib

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.flow.door import ROOM_MB, Door, encode, make_images, read_kept, store_one
from tests.flow.wire import (
    ABORT,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Closed,
    make_command,
    make_pdu,
    make_pdv,
    make_request,
    make_store,
    make_uid,
)
from tests.series import make_slice

MB = 1 << 20


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One door for all of it. It has taken an image already: what it loads for the first one is no growth."""
    with Door(tmp_path_factory.mktemp("door"), "max_pdu = 65536") as door:
        ((uid, dataset),) = make_images(1, seed=10)
        assert store_one(door, uid, dataset) == 0x0000
        before = door.measure_mb()
        yield door
        assert door.measure_mb() - before < ROOM_MB
        door.expect_clean_log()


def command(data):
    return make_pdu(P_DATA, make_pdv(1, 3, data))


def announce(kind, length, body=b""):
    """A PDU whose header lies about its length."""
    return struct.pack(">BBI", kind, 0, length) + body


def lie(length):
    """A P-DATA whose presentation data value item says that it is `length` bytes long."""
    item = make_pdv(1, 3, make_store("1.2.3"))
    return make_pdu(P_DATA, struct.pack(">I", length) + item[4:])


AFTER = {
    "a P-DATA one byte over our limit": announce(P_DATA, 65537, b"\0" * 65537),
    "a P-DATA of 4 GiB": announce(P_DATA, 0xFFFFFFFF, make_pdv(1, 3, b"\0" * 5000)),
    "PDU type 0": announce(0, 4, b"\0" * 4),
    "PDU type 8": announce(8, 4, b"\0" * 4),
    "PDU type 255, 4 GiB": announce(255, 0xFFFFFFFF),
    "a second request": make_request(),
    "an accept from the wrong side": make_pdu(2, make_request()[6:]),
    "an empty P-DATA": make_pdu(P_DATA, b""),
    "a PDV header cut short": make_pdu(P_DATA, b"\0\0\0"),
    "a PDV of no length": lie(0),
    "a PDV of length 1": lie(1),
    "a PDV longer than its PDU": lie(5000),
    "a PDV shorter than its PDU": lie(20),
    "a PDV of 4 GiB": lie(0xFFFFFFFF),
    "a presentation context that was never offered": make_pdu(P_DATA, make_pdv(77, 3, make_store("1.2.3"))),
    "presentation context 0": make_pdu(P_DATA, make_pdv(0, 3, make_store("1.2.3"))),
    "a dataset before its command": make_pdu(P_DATA, make_pdv(1, 2, b"\x08\0\x18\0UI\x04\x001.2\0")),
    "a dataset instead of the rest of a command": make_pdu(
        P_DATA, make_pdv(1, 1, make_store("1.2.3")[:40]) + make_pdv(1, 2, b"\0" * 40)
    ),
    "a second command instead of a dataset": command(make_store("1.2.3")) + command(make_store("1.2.4")),
    "a command group too short": command(make_store("1.2.3", group_length=10)),
    "a command group too long": command(make_store("1.2.3", group_length=100000)),
    "a command of 4 GiB": command(make_store("1.2.3", group_length=0xFFFFFFFF)),
    "a command without a field": command(make_command({0x0002: make_uid(CT)})),
    "a command of nothing": command(b""),
    "a command of noise": command(bytes(range(256)) * 8),
    "a command element of 4 GiB": command(make_command({})[:8] + b"\x08\0\0\0\0\0\x02\0\xff\xff\xff\xff"),
    "an instance uid that is a path": command(make_store("../../../../../../tmp/wetread-was-here")),
    "an instance uid that is an absolute path": command(make_store("/etc/cron.d/wetread")),
    "an instance uid of dots": command(make_store("..")),
    "an instance uid of 65 characters": command(make_store("1." + "2" * 63)),
    "an instance uid of 60,000 characters": command(make_store("1." + "2" * 60000)),
    "an instance uid of nothing": command(make_store("")),
    "an instance uid with a zero byte in it": command(make_store("1.2\0.3")),
    "a class uid that is a path": command(make_store("1.2.3", sop_class="../../etc/passwd")),
    "a class uid of 65 characters": command(make_store("1.2.3", sop_class="1." + "2" * 63)),
}
"""Said on an association."""

BEFORE = {
    "an abort of 4 GiB": announce(7, 0xFFFFFFFF),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: wetread\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\x11" * 194,
    "zeros": b"\0" * 4096,
    "ones": b"\xff" * 4096,
    "a request of 4 GiB": announce(1, 0xFFFFFFFF, b"\0\1\0\0" + b" " * 4096),
    "a request of 500 MB": announce(1, 500 * MB, make_request()[6:]),
    "a request too short to be one": announce(1, 10, b"\0\1\0\0" + b" " * 6),
    "a request with an item of lies": make_request()[:74] + b"\x10\0\xff\xff" + make_request()[78:],
    "a request of noise": announce(1, 4096, bytes(range(256)) * 16),
    "data without an association": announce(P_DATA, 10, make_pdv(1, 3, b"\0" * 4)),
    "a release without an association": announce(5, 4, b"\0" * 4),
    "a P-DATA of 4 GiB": announce(P_DATA, 0xFFFFFFFF),
}
"""Said instead of asking for one."""


@pytest.mark.parametrize("name", AFTER)
def test_an_association_ends_by_abort_at(door, name):
    held = door.find_kept()
    with door.watch() as watch, door.wire() as wire:
        wire.associate()
        wire.socket.sendall(AFTER[name])
        assert wire.read_to_end(5) == [ABORT]
    watch.expect_calm()
    assert door.find_kept() == held
    door.wait_until(lambda: not door.find_parts(), 3)


def test_a_release_of_4_gib_ends_the_association_one_way_or_the_other(door):
    with door.watch() as watch, door.wire() as wire:
        wire.associate()
        wire.socket.sendall(announce(RELEASE_RQ, 0xFFFFFFFF))
        assert wire.read_to_end(5) in ([RELEASE_RP], [ABORT])
    watch.expect_calm()


@pytest.mark.parametrize("name", BEFORE)
def test_a_connection_ends_at(door, name):
    with door.watch() as watch, door.wire() as wire:
        wire.socket.sendall(BEFORE[name])
        assert wire.read_to_end(5) in ([], [ABORT])
    watch.expect_calm()


def test_a_command_that_never_ends_is_not_remembered(door):
    fragment = make_pdu(P_DATA, make_pdv(1, 1, b"\0" * 60000))
    with door.watch() as watch, door.wire() as wire:
        wire.associate()
        with pytest.raises(Closed) as end:
            for _ in range(1000):
                wire.send(fragment)
        assert end.value.aborted
    watch.expect_calm()


def test_requests_for_storage_commitment_that_never_end_are_not_all_remembered(door):
    commitment, instance = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
    numbers = {0x0100: 0x0130, 0x0110: 1, 0x0800: 1, 0x1008: 1}  # N-ACTION-RQ (PS3.7 table 10.3-7)
    elements = {key: struct.pack("<H", value) for key, value in numbers.items()}
    action = make_command(elements | {0x0003: make_uid(commitment), 0x1001: make_uid(instance)})
    fragment = make_pdu(P_DATA, make_pdv(1, 0, bytes(65000)))
    with door.watch() as watch, contextlib.ExitStack() as wires:
        for _ in range(8):
            wire = wires.enter_context(door.wire()).associate(((commitment, (IMPLICIT,)),))
            with contextlib.suppress(Closed):
                wire.send(command(action))
                for _ in range(240):
                    wire.send(fragment)
    watch.expect_calm()


def test_a_sender_that_vanishes_in_the_middle_of_an_image_leaves_nothing(door):
    ((uid, dataset),) = make_images(1, seed=11, side=256)
    for linger in (struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)):  # by reset, and by an ordinary close
        with door.wire() as wire:
            wire.associate()
            wire.send(command(make_store(uid)) + make_pdu(P_DATA, make_pdv(1, 0, dataset[:50000])))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    door.wait_until(lambda: not door.find_parts(), 5)
    assert door.ledger.find_instance(uid) is None
    assert store_one(door, uid, dataset) == 0x0000


# Datasets


def store(door, uid, dataset, syntax=EXPLICIT):
    """The status, and how many files and rows quarantine grew by."""
    before = len(door.find_quarantined()), len(door.ledger.find_quarantined())
    with door.wire(timeout=60) as wire:
        status = wire.associate(((CT, (syntax,)),)).store(uid, dataset)
        wire.release()
    files = len(door.find_quarantined()) - before[0]
    if status:
        door.wait_until(lambda: len(door.ledger.find_quarantined()) == before[1] + files, 3)
    return status, files


def expect_quarantine(door, uid, dataset, syntax=EXPLICIT):
    held = door.find_kept()
    with door.watch() as watch:
        status, files = store(door, uid, dataset, syntax)
    watch.expect_calm()
    assert status & 0xF000 == 0xC000, f"0x{status:04X}"
    assert files == 1
    row = door.ledger.find_quarantined()[0]
    assert row.sop_instance_uid == uid
    assert (door.spool / row.path).read_bytes().endswith(dataset[-1000:])
    assert door.find_kept() == held
    assert door.find_parts() == []


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def make_bomb(uid, size):
    """A deflated image of `size` zeros: one flushed block of 43 MB, said again and again."""
    block = 43_000_000
    head = encode(make_slice(np.zeros((64, 64), np.int16), (0, 0, 0), SOPInstanceUID=uid))
    head = head[: head.rindex(b"\xe0\x7f\x10\0OW")] + b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<I", size // block * block)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + zeros * (size // block) + b"\x03\x00"


def test_a_deflate_bomb_before_the_uids_is_not_inflated_either(door):
    uid = generate_uid(prefix=None)
    block = 43_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = make_head(uid)
    start = head[0x00080016] + head[0x00080018] + element(0x00091010, b"OB", b"", length=13 * block)
    packed = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(head[0x0020000D] + head[0x0020000E]) + packer.flush()
    expect_quarantine(door, uid, packed + zeros * 13 + end, DEFLATED)


def test_a_deflated_dataset_whose_uids_come_late_takes_no_memory(door):
    uid = generate_uid(prefix=None)
    value = np.random.default_rng(1).bytes(2 * MB) + bytes(100 * MB)
    packed = deflate(put_before_the_study(uid, element(0x00091010, b"OB", value)))
    assert len(packed) > 102 * MB / 100  # within inflate_ratio
    with door.watch() as watch:
        status, _ = store(door, uid, packed, DEFLATED)
    watch.expect_calm()
    assert status == 0x0000 or status & 0xF000 == 0xC000


def test_a_deflate_bomb_is_set_aside_not_inflated(door):
    uid = generate_uid(prefix=None)
    bomb = make_bomb(uid, 559_000_000)
    assert len(bomb) < 600_000  # deflate shrinks 1032 times at most: 541 KB for 559 MB
    expect_quarantine(door, uid, bomb, DEFLATED)


def test_an_ordinary_deflated_image_is_kept_as_it_came(door):
    ((uid, dataset),) = make_images(1, seed=12, side=256)
    packed = deflate(dataset)
    assert store(door, uid, packed, DEFLATED) == (0x0000, 0)
    door.expect_row(uid, packed)
    assert read_kept(door.spool / door.ledger.find_instance(uid).path) == (DEFLATED, packed)


def test_a_deflated_dataset_that_is_no_such_thing_is_set_aside(door):
    expect_quarantine(door, generate_uid(prefix=None), b"\x06" + b"\xff" * 5001, DEFLATED)


def element(tag, vr, value, length=None):
    length = len(value) if length is None else length
    form = "<HH2sHI" if vr in {b"OB", b"SQ", b"UN"} else "<HH2sH"
    parts = (tag >> 16, tag & 0xFFFF, vr) + ((0, length) if len(form) == 7 else (length,))
    return struct.pack(form, *parts) + value


def make_head(uid, study="1.2.3.1"):
    uids = {0x00080016: CT, 0x00080018: uid, 0x0020000D: study, 0x0020000E: "1.2.3.2"}
    return {tag: element(tag, b"UI", make_uid(value)) for tag, value in uids.items()}


def put_before_the_study(uid, item):
    head = make_head(uid)
    return head[0x00080016] + head[0x00080018] + item + head[0x0020000D] + head[0x0020000E]


def test_a_value_of_100_mb_before_the_study_uid_is_passed_over_not_read(door):
    uid = generate_uid(prefix=None)
    dataset = put_before_the_study(uid, element(0x00091010, b"OB", bytes(100 * MB)))
    with door.watch() as watch:
        assert store(door, uid, dataset) == (0x0000, 0)
    watch.expect_calm()
    door.expect_row(uid, dataset)


def test_fragments_of_100_mb_before_the_study_uid_are_passed_over_not_read(door):
    uid = generate_uid(prefix=None)
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", 10 * MB) + bytes(10 * MB)
    value = item * 10 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    dataset = put_before_the_study(uid, element(0x00091010, b"OB", value, length=0xFFFFFFFF))
    with door.watch() as watch:
        status, _ = store(door, uid, dataset)
    watch.expect_calm()
    assert status == 0x0000 or status & 0xF000 == 0xC000


def test_sequences_ten_thousand_deep_are_no_crash(door):
    uid = generate_uid(prefix=None)
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with door.watch() as watch:
        status, files = store(door, uid, put_before_the_study(uid, opening * 10000))
    watch.expect_calm()
    assert (status & 0xF000, files) == (0xC000, 1)


@pytest.mark.parametrize(
    "dataset",
    [
        put_before_the_study("1.2.3.4.1", element(0x00091010, b"OB", b"abc", length=0xFFFFFFF0)),
        put_before_the_study("1.2.3.4.1", element(0x00091010, b"??", b"abcd")),
        b"".join(make_head("1.2.3.4.1", study="../../../tmp/study").values()),
        b"".join(make_head("1.2.3.4.1", study="..").values()),
        b"".join(make_head("1.2.3.4.1", study="1." + "2" * 63).values()),
        b"".join(make_head("1.2.3.4.1", study="").values()),
        b"".join(make_head("1.2.3.4.2").values()),
        b"".join(make_head("../../1.2.3.4").values()),
        b"\xff" * 4096,
        b"\0" * 4096,
        b"\x08",
    ],
    ids=[
        "a value of 4 GiB",
        "an unknown value representation",
        "a study uid that is a path",
        "a study uid of dots",
        "a study uid of 65 characters",
        "no study uid",
        "another instance than the command says",
        "an instance uid that is a path",
        "ones",
        "zeros",
        "one byte",
    ],
)
def test_a_dataset_is_set_aside_for(door, dataset):
    expect_quarantine(door, "1.2.3.4.1", dataset)
