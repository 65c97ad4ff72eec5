"""A full disk: 0xA700 and transient refusals, everything acknowledged intact, and recovery without a restart."""

import os
import shutil
import subprocess
import time
from contextlib import suppress

import pytest

from tests.flow.door import Door, make_images, read_kept
from tests.flow.wire import TRANSIENT, Rejected

OUT_OF_RESOURCES = 0xA700
BUSY = (TRANSIENT, 3, 1)  # presentation service provider, temporary congestion (PS3.8 table 9-21)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB, 16 of them taken by `ballast`."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    (place / "ballast").write_bytes(os.urandom(1 << 20) * 16)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(door, images, pause=0.0):
    """(uids answered 0x0000, first other status) of images on one association, until one is refused.

    pause: seconds before each; the door looks at the free space now and then, not for every image.
    """
    taken = {}
    with door.wire() as wire:
        wire.associate()
        for uid, dataset in images:
            time.sleep(pause)
            status = wire.store(uid, dataset)
            if status != 0x0000:
                wire.release()
                return taken, status
            taken[uid] = dataset
    raise AssertionError("the disk never filled")


def expect_all(door, taken):
    assert taken
    for uid, dataset in taken.items():
        door.expect_row(uid, dataset, seconds=10)


def ask(door):
    """How the door answers an association for storage: "accepted", or the rejection."""
    with door.wire() as wire:
        try:
            wire.associate()
        except Rejected as refusal:
            return refusal.answer
        wire.release()
        return "accepted"


def is_busy(door, images, taken):
    """Whether the door asks to come again later; until it does, it gets more, and what it takes joins `taken`: when the
    refused image is gone again, there may be a little room above the watermark."""
    if ask(door) == BUSY:
        return True
    with suppress(Rejected):
        more, _ = fill(door, images, pause=0.02)
        taken.update(more)
    return False


def test_below_the_watermark_images_are_refused_for_the_time_being_and_taken_again_later(small_disk, tmp_path):
    images = make_images(300, side=512, seed=3)
    with Door(tmp_path / "door", "min_free_mb = 8", home=small_disk / "home") as door:
        taken, status = fill(door, images, pause=0.02)
        assert status == OUT_OF_RESOURCES
        assert shutil.disk_usage(small_disk).free > 4e6, "refused only when the disk was all but full"
        door.wait_until(lambda: is_busy(door, images, taken), 20)
        assert 5 <= len(taken) <= 60
        door.echo()
        assert door.find_parts() == []
        expect_all(door, taken)
        (small_disk / "ballast").unlink()
        door.wait_until(lambda: ask(door) == "accepted", 20)
        more, status = fill(door, images)
        assert len(more) >= 20
        assert status == OUT_OF_RESOURCES
        expect_all(door, taken | more)


def test_an_association_that_is_open_when_space_comes_back_goes_on(small_disk, tmp_path):
    images = make_images(100, side=512, seed=4)
    with Door(tmp_path / "door", "min_free_mb = 8", home=small_disk / "home") as door, door.wire() as wire:
        wire.associate()
        statuses = [wire.store(*image) for image, _ in zip(images, range(80), strict=False)]
        assert set(statuses) == {0x0000, OUT_OF_RESOURCES}
        (small_disk / "ballast").unlink()
        uid, dataset = next(images)
        door.wait_until(lambda: wire.store(uid, dataset) == 0x0000, 20)
        wire.release()
        door.expect_row(uid, dataset)


def test_a_disk_that_is_really_full_costs_nothing_that_was_acknowledged(small_disk, tmp_path):
    images = make_images(400, side=512, seed=5)
    with Door(tmp_path / "door", "min_free_mb = 0", home=small_disk / "home") as door:
        taken, status = fill(door, images)
        assert status == OUT_OF_RESOURCES
        assert shutil.disk_usage(small_disk).free < 2e6
        door.echo()
        for _ in range(5):
            more, status = fill(door, images)
            taken |= more
            assert status == OUT_OF_RESOURCES
        for path in door.find_kept():
            read_kept(path)
        (small_disk / "ballast").unlink()
        more, _ = fill(door, images)
        assert len(more) >= 20
        expect_all(door, taken | more)
        assert len(door.find_kept()) == len(taken | more)
        assert door.find_parts() == []
