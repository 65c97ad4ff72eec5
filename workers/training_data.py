"""Training data out of DICOM: `python -m workers.training_data lung-seg DIR OUT`.

Each folder of DIR is one patient; every thick enough axial CT stack in it becomes OUT/FOLDER-SERIES.npz with `voxels`
(int16 HU, k j i), `affine` (4x4, LPS mm) and `patient` (the folder's name: no identifier is copied from a header).
This stands in `workers` because it needs both floors: `node` reads DICOM, `pipelines` trains on arrays.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand

LEAST_MM = 80.0
"""Shorter stacks are localizers, single slices and bolus tracking."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and converts."""
    parser = argparse.ArgumentParser(description="DICOM to training data")
    parser.add_argument("pipeline", choices=["lung-seg"])
    parser.add_argument("source", type=Path, metavar="DIR")
    parser.add_argument("target", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    written = convert(options.source, options.target)
    Console().print(f"{len(written)} scans: {', '.join(path.name for path in written)}")
    if not written:
        sys.exit(f"{options.source} holds no axial CT stack of at least {LEAST_MM:.0f} mm")


def convert(source: Path, target: Path) -> list[Path]:
    """Writes one .npz for each fitting stack below `source`; returns their paths."""
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for stack in _find_ct_stacks(folder):
            path = target / f"{folder.name}-{stack.first.get('SeriesNumber') or 0}.npz"
            if path in written:
                path = path.with_stem(f"{path.stem}-{len(written)}")
            voxels = np.clip(np.rint(load_volume(stack).voxels), -32768, 32767).astype(np.int16)
            np.savez(path, voxels=voxels, affine=stack.affine, patient=folder.name)
            written.append(path)
    return written


def _find_ct_stacks(folder: Path) -> Iterator[Stack]:
    """The axial CT stacks of at least LEAST_MM; other files are passed over, as folders of data hold notes too."""
    try:
        stacks, _ = read_stacks(sorted(folder.rglob("*.dcm")))
    except CannotUnderstand:
        return
    for stack in stacks:
        length = stack.shape[0] * float(np.linalg.norm(stack.affine[:3, 0]))
        if stack.modality == "CT" and stack.orientation == "axial" and length >= LEAST_MM:
            yield stack


if __name__ == "__main__":
    main()
