"""Bundles as a user has them: the configurations of tests/bundles, and weights of the right shapes from a seed."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from pipelines.terms import Volume

CONFIGS = Path(__file__).resolve().parents[2] / "bundles"
BORROWERS = {"lung_nodule_ct_detection", "breast_density_classification"}
"""Their networks need torchvision, which must be imported before MONAI: their weights are made in another process."""
SEED_WEIGHTS = """
import sys
from pipelines.bundles.torchvision_ops import import_torchvision
import_torchvision()
sys.path.insert(0, sys.argv[3])
from made import seed_weights
from pathlib import Path
seed_weights(Path(sys.argv[1]), sys.argv[2])
"""


def make_bundle(name, folder, weights="model.pt", edit=None):
    """The bundle `name` below `folder`, with seeded weights; edit(config) may change its inference.json first."""
    place = folder / name
    shutil.copytree(CONFIGS / name, place)
    if edit is not None:
        edit_config(place, edit)
    if weights and name in BORROWERS:
        command = [sys.executable, "-c", SEED_WEIGHTS, str(place), weights, str(Path(__file__).parent)]
        subprocess.run(command, check=True, cwd=CONFIGS.parents[1])
    elif weights:
        seed_weights(place, weights)
    return place


def seed_weights(place, weights):
    """models/`weights` of the bundle in `place`: its network as torch makes it from a seed."""
    from monai.bundle import ConfigParser

    config = json.loads((place / "configs" / "inference.json").read_text())
    if "pretrained" in config["network_def"]:
        config["network_def"]["pretrained"] = False
    torch.manual_seed(7)
    network = ConfigParser(config).get_parsed_content("network_def")
    (place / "models").mkdir(exist_ok=True)
    torch.save(network.state_dict(), place / "models" / weights)


def add_members(bundle, seeds):
    """models/model_fold0.pt ... beside models/model.pt, with weights from `seeds`; None for those of model.pt."""
    first = torch.load(bundle / "models" / "model.pt", weights_only=True)
    for number, seed in enumerate(seeds):
        torch.manual_seed(seed or 0)
        other = {name: one + 0.2 * torch.randn(one.shape) * (seed is not None) for name, one in first.items()}
        torch.save(other, bundle / "models" / f"model_fold{number}.pt")


def edit_config(place, edit):
    path = place / "configs" / "inference.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def edit_metadata(place, edit):
    """edit(data) changes what network_data_format says of the bundle's one output."""
    path = place / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    edit(data["network_data_format"]["outputs"]["pred"])
    path.write_text(json.dumps(data))


def zip_folder(folder, path, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, Path(folder.name) / file.relative_to(folder))
        for member, content in extra:
            archive.writestr(member, content)
    return path


def make_volume(shape=(12, 20, 22), spacing=(3.0, 1.4, 1.6), modality="CT", seed=1, oblique=False):
    """Noise with a bright block, in CT around 40 HU. Planes run to the head, rows to the back, columns to the left."""
    voxels = np.random.default_rng(seed).normal(40, 60, shape).astype(np.float32)
    k, j, i = shape
    voxels[k // 3 : 2 * k // 3, j // 4 : j // 2, i // 2 : 3 * i // 4] += 300
    turn = np.eye(3)
    if oblique:
        turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.fliplr(np.diag(spacing[::-1]))
    affine[:3, 3] = (-31.0, 17.0, 211.0)
    return Volume(voxels, affine, "1.2.3", modality)
