"""Bytes reach the file as they were sent, however the network cuts them."""

import hashlib
import random
import socket
import struct
import threading
from pathlib import Path

import pytest

from node import wiring
from node.config import load_settings
from node.dicom import command as dimse
from node.dicom.command import write_command
from node.inbound.wire import BUFFER, SMALL_BUFFER, Gone, Silent, Wire
from tests.flow.wire import make_request
from tests.series import make_series

TOML = '[node]\nlisten = "127.0.0.1:0"\nhome = "home"\n[listen]\nmin_free_mb = 16\n'


def pdata(context, flags, piece):
    return struct.pack(">BBIIBB", 4, 0, len(piece) + 6, len(piece) + 2, context, flags) + piece


@pytest.fixture
def door(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML)
    listener = wiring.make_listener(load_settings(path, {}))
    yield ("127.0.0.1", listener.start()), tmp_path / "home" / "spool"
    listener.stop()


def talk(address):
    """An accepted association on a plain socket."""
    line = socket.create_connection(address, 10)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(make_request())
    assert line.recv(65536)[0] == 2
    return line


def make_image(number, size):
    image = make_series((1, 4, 4))[0]
    image.SOPInstanceUID = f"1.2.3.{number}"
    image.PixelData = random.Random(number).randbytes(size)
    image.save_as(buffer := __import__("io").BytesIO(), enforce_file_format=True)
    whole = buffer.getvalue()
    return image.SOPInstanceUID, whole[144 + struct.unpack_from("<I", whole, 140)[0] :]


def store(line, uid, dataset, pieces, chunks):
    """One C-STORE: the data set in P-DATA of lengths `pieces`, the stream written in `chunks`; its status."""
    command = write_command(
        {dimse.AFFECTED_CLASS: "1.2.840.10008.5.1.4.1.1.2", dimse.FIELD: 1, dimse.MESSAGE_ID: 1, 0x0700: 0,
         dimse.DATA_SET_TYPE: 0, dimse.AFFECTED_INSTANCE: uid}
    )  # fmt: skip
    stream = pdata(1, 3, command)
    at = 0
    while at < len(dataset):
        size = next(pieces)
        stream += pdata(1, 2 if at + size >= len(dataset) else 0, dataset[at : at + size])
        at += size
    at = 0
    while at < len(stream):
        size = next(chunks)
        line.sendall(stream[at : at + size])
        at += size
    answer = line.recv(65536)
    return struct.unpack_from("<H", answer, answer.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8)[0]


def find_kept(spool):
    return {hashlib.sha256(strip(path)).hexdigest() for path in spool.glob("kept/*/*.dcm")}


def strip(path: Path):
    whole = path.read_bytes()
    return whole[144 + struct.unpack_from("<I", whole, 140)[0] :]


def endless(draw):
    while True:
        yield draw()


@pytest.mark.parametrize("seed", range(6))
def test_every_byte_arrives_however_pdus_and_packets_are_cut(door, seed):
    """Among the cuts: a P-DATA that ends exactly where a read ends, so that the next one finds an empty buffer."""
    address, spool = door
    draw = random.Random(seed)
    line = talk(address)
    sent = set()
    for number in range(15):
        size = draw.choice([2, 5000, 131072, SMALL_BUFFER, 300_000, BUFFER, BUFFER + 70_000]) & ~1
        uid, dataset = make_image(1000 * seed + number, size)
        largest = draw.choice([100, 4096] if size < 10_000 else [16384, 131066])
        aligned = draw.random() < 0.5
        pieces = endless(lambda largest=largest: largest if draw.random() < 0.7 else draw.randint(1, largest))
        chunks = endless(lambda a=aligned, n=largest: n + 12 if a else draw.randint(1, 200_000 if n > 4096 else 3000))
        assert store(line, uid, dataset, pieces, chunks) == 0x0000
        sent.add(hashlib.sha256(dataset).hexdigest())
    line.close()
    assert find_kept(spool) == sent


def test_a_pdu_that_ends_where_a_read_ends_overwrites_nothing(door):
    """The first PDU is taken and written late: the bytes of the second must not lie over it by then."""
    address, spool = door
    line = talk(address)
    uid, dataset = make_image(7, 60_000)
    command = write_command(
        {dimse.AFFECTED_CLASS: "1.2.840.10008.5.1.4.1.1.2", dimse.FIELD: 1, dimse.MESSAGE_ID: 1, 0x0700: 0,
         dimse.DATA_SET_TYPE: 0, dimse.AFFECTED_INSTANCE: uid}
    )  # fmt: skip
    line.sendall(pdata(1, 3, command) + pdata(1, 0, dataset[:30_000]))
    threading.Event().wait(0.3)
    line.sendall(pdata(1, 2, dataset[30_000:]))
    assert line.recv(65536)
    line.close()
    assert find_kept(spool) == {hashlib.sha256(dataset).hexdigest()}


def test_whoever_holds_pieces_of_the_buffer_lets_go_before_it_changes():
    ours, theirs = socket.socketpair()
    wire = Wire(ours, b"", 5.0)
    held = []

    class Holder:
        size = 0

        def flush(self):
            held.append(bytes(wire.view[: wire.end]))

    wire.holder = Holder()
    theirs.sendall(b"first")
    assert wire.read(5) == b"first"
    theirs.sendall(b"second")
    assert wire.read(6) == b"second"
    assert held == [b"", b"first"]


def test_a_silent_and_a_closed_line_are_told_apart():
    ours, theirs = socket.socketpair()
    wire = Wire(ours, b"", 0.2)
    with pytest.raises(Silent):
        wire.fill(1)
    theirs.close()
    with pytest.raises(Gone):
        wire.fill(1)
