"""What stands in no table must not keep the index from all that comes after it."""

import sqlite3
import time

import numpy as np
import pytest

from node.dicom.write import write_dicom
from node.web.dicomweb.index import Index
from tests.node.web.dicomweb.archive import Store
from tests.series import make_slice


def keep(store, number, instance_number=None):
    """A slice in the spool, with the bytes of an Instance Number that no writer would write."""
    path = store.folder / "sent.dcm"
    write_dicom(make_slice(np.zeros((4, 4), np.int16), (0, 0, number), InstanceNumber=number), path)
    if instance_number is not None:
        told = instance_number.encode() + b" " * (len(instance_number) % 2)
        data = path.read_bytes()
        start = data.index(b"\x20\x00\x13\x00IS")
        end = start + 8 + int.from_bytes(data[start + 6 : start + 8], "little")
        path.write_bytes(data[: start + 6] + len(told).to_bytes(2, "little") + told + data[end:])
    return store.keep(path)


def positions(store):
    return dict(store.reading.index.connection.execute("SELECT sop_instance_uid, position FROM instance").fetchall())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("said", "position"),
    [
        ("99999999999999999999", 0),
        ("-99999999999999999999", 0),
        ("9223372036854775808", 0),
        ("4611686018427387904", 2**62),
        ("-9223372036854775808", -(2**63)),
        ("--5", 0),
        ("-", 0),
        ("five", 0),
        ("-5", -5),
        ("007", 7),
    ],
)
def test_an_instance_number_that_is_none_costs_no_more_than_its_place(tmp_path, said, position):
    store = Store(tmp_path)
    odd, plain = keep(store, 1, said), keep(store, 2)
    assert store.reading.indexer.catch_up()
    assert positions(store) == {odd.sop_instance_uid: position, plain.sop_instance_uid: 2}


class Picky(Index):
    """Cannot hold one file, for a reason that nobody foresaw."""

    bad = ""
    error: Exception = OverflowError("an integer of somebody")

    def add(self, entries, source, number):
        if any(entry.path.name == self.bad for entry in entries):
            raise self.error
        super().add(entries, source, number)


@pytest.fixture
def picky(tmp_path):
    """A store whose index cannot hold the second of three files."""
    store = Store(tmp_path)
    rows = [keep(store, number) for number in range(1, 4)]
    store.reading.indexer._index = index = Picky(store.settings.node.home / "web.sqlite")
    index.bad = rows[1].path.rpartition("/")[2]
    return store, index, rows


@pytest.mark.parametrize("kind", [OverflowError, ValueError, sqlite3.DataError, KeyError])
def test_what_the_index_cannot_hold_is_left_out_and_the_rest_is_there(picky, caplog, kind):
    store, index, rows = picky
    index.error = kind("somebody's integer")
    for _ in range(2):
        assert store.reading.indexer.catch_up()
    assert set(positions(store)) == {rows[0].sop_instance_uid, rows[2].sop_instance_uid}
    later = keep(store, 4)
    store.reading.indexer.tick(time.time())
    assert later.sop_instance_uid in positions(store)
    assert f"{index.bad} is not indexed ({kind.__name__})" in caplog.text
    assert "somebody" not in caplog.text


def test_a_disk_that_fails_is_no_fault_of_an_instance(picky):
    store, index, rows = picky
    index.error = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(sqlite3.OperationalError):
        store.reading.indexer.catch_up()
    index.bad = ""
    assert store.reading.indexer.catch_up()
    assert len(positions(store)) == len(rows)
