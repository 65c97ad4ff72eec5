"""The training scans as cases for `wetread evaluate lung-seg`: `python -m pipelines.training.lung_reference CACHE OUT`.

CACHE: what `python -m workers.training_data` wrote. The reference is the rule-made label, not a radiologist's.
"""

import json
import sys
from pathlib import Path

import numpy as np

from pipelines.evaluation.lung_seg import get_truth
from pipelines.training.lung_cases import load_cases


def main(cache: str, out: str) -> None:
    """Writes OUT/NAME with image and reference for each scan of CACHE."""
    for case in load_cases(Path(cache)):
        folder = Path(out) / case.name
        (folder / "reference").mkdir(parents=True, exist_ok=True)
        np.savez(folder / "image.npz", voxels=case.voxels, affine=case.affine)
        np.savez_compressed(folder / "reference" / "lung.npz", labels=get_truth(case), affine=case.affine)
        (folder / "case.json").write_text(json.dumps({"patient": case.patient}), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
