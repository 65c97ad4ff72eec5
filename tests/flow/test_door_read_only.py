"""A spool that cannot be written any more, as after a fault of its disk: refusals, nothing lost, recovery by itself."""

import subprocess

import pytest

from tests.flow.door import Door, make_images

OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def spool(tmp_path):
    """A file system of its own where the spool will be; `spool("ro")` makes it read-only, `spool("rw")` ends that."""
    place = tmp_path / "home" / "spool"
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)
    subprocess.run(["umount", "-l", place], check=True)


def test_a_read_only_spool_refuses_and_takes_again_when_it_can(spool, tmp_path):
    images = make_images(6, seed=8)
    with Door(tmp_path / "door", "min_free_mb = 1", home=tmp_path / "home") as door, door.wire() as wire:
        wire.associate()
        kept = dict(next(images) for _ in range(2))
        assert [wire.store(uid, dataset) for uid, dataset in kept.items()] == [0x0000] * 2
        for uid, dataset in kept.items():
            door.expect_row(uid, dataset)
        spool("ro")
        refused = dict(next(images) for _ in range(2))
        assert [wire.store(uid, dataset) for uid, dataset in refused.items()] == [OUT_OF_RESOURCES] * 2
        door.echo()
        assert all(door.ledger.find_instance(uid) is None for uid in refused)
        assert len(door.find_kept()) == 2
        spool("rw")
        assert [wire.store(uid, dataset) for uid, dataset in refused.items()] == [0x0000] * 2
        wire.release()
        for uid, dataset in (kept | refused).items():
            door.expect_row(uid, dataset)
        assert door.find_parts() == []
        door.expect_clean_log()
