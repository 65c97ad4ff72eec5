"""Memory is used again when nothing refers to it any more, and never before."""

import gc

import numpy as np
import torch

from node.dicom.room import Room


def place(array):
    return array.__array_interface__["data"][0]


def test_what_nobody_holds_any_more_is_used_again():
    room = Room()
    first = room.make_empty((4, 5, 6), np.float32)
    assert (first.shape, first.dtype) == ((4, 5, 6), np.float32)
    assert first.flags.writeable and first.flags.c_contiguous
    where = place(first)
    del first
    assert place(room.make_empty((2, 3), np.int16)) == where


def test_what_somebody_holds_is_left_alone_whatever_he_holds_of_it():
    room = Room()
    holders = {
        "a view": lambda a: a[1:, ::2],
        "a view of a view": lambda a: a[1:][0].T,
        "a reshaped one": lambda a: a.reshape(-1)[3:],
        "other bits": lambda a: a.view(np.uint32)[0],
        "a buffer": lambda a: memoryview(a)[1:],
        "a tensor": lambda a: torch.from_numpy(a)[1],
        "an iterator": lambda a: a.flat,
    }
    for name, hold in holders.items():
        array = room.make_empty((4, 5, 6), np.float32)
        array[:] = 7
        where, held = place(array), hold(array)
        del array
        gc.collect()
        other = room.make_empty((4, 5, 6), np.float32)
        other[:] = 9
        assert place(other) != where, name
        assert np.all(np.asarray(held) == np.asarray(hold(np.full((4, 5, 6), 7, np.float32)))), name
        del held, other


def test_a_larger_one_gets_memory_of_its_own_and_is_what_is_kept():
    room = Room()
    del_me = room.make_empty((8,), np.uint8)
    del del_me
    large = room.make_empty((1 << 16,), np.uint8)
    where = place(large)
    small = room.make_empty((8,), np.uint8)
    del large, small
    assert place(room.make_empty((1 << 15,), np.uint16)) == where


def test_an_array_outlives_its_room():
    array = Room().make_empty((3, 3), np.float32)
    gc.collect()
    array[:] = 5
    assert array.sum() == 45
