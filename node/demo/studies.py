"""The two studies that the demo sends when it is given none: a head and a chest, nobody's."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from node.demo.head import find_template, make_head
from node.demo.phantom import make_chest
from node.demo.series import Picture, write_series
from node.dicom.identity import read_identity


def write_demo_studies(folder: Path) -> Mapping[str, Mapping[str, float]]:
    """Writes both studies below `folder`, each with new uids; returns what they truly measure: study uid ->
    laterality in lower case -> mL. Raises ConfigError when the head's template is not installed."""
    run, now = uuid4().hex, datetime.now(UTC)
    template = find_template()
    with ProcessPoolExecutor(2) as pool:
        head = pool.submit(_write_head, template, folder / "head", run, now)
        chest = pool.submit(_write_chest, folder / "chest", run, now)
        return dict([head.result(), chest.result()])


def _write_head(template: Path, folder: Path, run: str, now: datetime) -> tuple[str, Mapping[str, float]]:
    head = make_head(template)
    picture = Picture(head.voxels, head.affine, "MR", "Head", "HEAD", "T1 of the MNI152 template")
    paths = write_series(picture, folder, run, now)
    return read_identity(paths[0]).study_uid, {"": head.brain_ml}


def _write_chest(folder: Path, run: str, now: datetime) -> tuple[str, Mapping[str, float]]:
    chest = make_chest()
    picture = Picture(chest.voxels, chest.affine, "CT", "Chest", "CHEST", "chest phantom")
    paths = write_series(picture, folder, run, now)
    truth = {"right": chest.right_ml, "left": chest.left_ml, "right and left": chest.right_ml + chest.left_ml}
    return read_identity(paths[0]).study_uid, truth
