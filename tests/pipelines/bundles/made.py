"""Bundles as a user has them: the configurations of tests/bundles, and weights of the right shapes from a seed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipelines.terms import Volume

CONFIGS = Path(__file__).resolve().parents[2] / "bundles"
SEED_WEIGHTS = """
import json, sys
from pathlib import Path
folder, name, wants = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
if wants:
    from pipelines.bundles.torchvision_ops import import_torchvision
    import_torchvision()
import torch
from monai.bundle import ConfigParser
config = json.loads((folder / "configs/inference.json").read_text())
if "pretrained" in config["network_def"]:
    config["network_def"]["pretrained"] = False
torch.manual_seed(7)
network = ConfigParser(config).get_parsed_content("network_def")
(folder / "models").mkdir(exist_ok=True)
torch.save(network.state_dict(), folder / "models" / name)
"""


def make_bundle(name, folder, weights="model.pt", edit=None):
    """The bundle `name` below `folder`, with seeded weights; edit(config) may change its inference.json first."""
    place = folder / name
    shutil.copytree(CONFIGS / name, place)
    if edit is not None:
        path = place / "configs" / "inference.json"
        config = json.loads(path.read_text())
        edit(config)
        path.write_text(json.dumps(config))
    if weights:
        wants = name in {"lung_nodule_ct_detection", "breast_density_classification"}
        command = [sys.executable, "-c", SEED_WEIGHTS, str(place), weights, str(wants)]
        subprocess.run(command, check=True, cwd=CONFIGS.parents[1], capture_output=True)
    return place


def make_volume(shape=(12, 20, 22), spacing=(3.0, 1.4, 1.6), modality="CT", seed=1, oblique=False):
    """Noise with a bright block, in CT around 40 HU. Planes run to the head, rows to the back, columns to the left."""
    voxels = np.random.default_rng(seed).normal(40, 60, shape).astype(np.float32)
    k, j, i = shape
    voxels[k // 3 : 2 * k // 3, j // 4 : j // 2, i // 2 : 3 * i // 4] += 300
    turn = np.eye(3)
    if oblique:
        angle = 0.3
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.fliplr(np.diag(spacing[::-1]))
    affine[:3, 3] = (-31.0, 17.0, 211.0)
    return Volume(voxels, affine, "1.2.3", modality)
