"""A few planes of the demo's chest as a new study: what `wetread check-dicomweb --store` sends."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np

from node.demo.phantom import make_chest
from node.demo.series import Picture, write_series


def make_sample(count: int = 3) -> list[bytes]:
    """`count` Part 10 files of a study with new uids, planes from the middle of the chest."""
    chest = make_chest()
    first = len(chest.voxels) // 2
    affine = np.array(chest.affine)
    affine[:3, 3] += affine[:3, 0] * first
    voxels = chest.voxels[first : first + count]
    picture = Picture(voxels, affine, "CT", "Check", "CHEST", "chest phantom, to check a server")
    with TemporaryDirectory() as folder:
        paths = write_series(picture, Path(folder), uuid4().hex, datetime.now(UTC))
        return [path.read_bytes() for path in paths]
