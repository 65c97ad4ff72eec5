"""One side of tests/bench/infer.py, in a process of its own that stays warm.

    python tests/bench/infer_sides.py plain|wetread SHELF VOLUME.npy DEVICE

For each line on standard input the volume is segmented once and a line of JSON says the seconds of each stage; the
labels lie beside the volume, as SIDE.npy. `plain` is MONAI as the bundle says it: its transforms, its sliding window,
its transforms back.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipelines.bundles.install import read_installed
from pipelines.catalog import get_pipeline
from pipelines.terms import Volume, use_shelf

NAME = "whole"
AFFINE = np.array([[0.0, 0.0, 0.84, 0.0], [0.0, 0.84, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""Of the volume: planes of 5 mm, pixels of 0.84 mm."""


class Plain:
    """MONAI alone, without what this project adds."""

    def __init__(self, shelf, device):
        import torch

        from pipelines.bundles.checkpoint import load_weights
        from pipelines.bundles.program import _make, _parse

        (home,) = shelf.iterdir()
        installed = read_installed(home)
        recipe = installed.make_recipe(trusted=False)
        parser = _parse(recipe, device)
        self._device, self._key, self._torch = device, recipe.image_key, torch
        self._network = _make(parser, "network_def").to(device)
        load_weights(self._network, installed, str(_make(parser, "weights_path")), trusted=False)
        self._network.eval()
        self._before, self._after = _make(parser, "preprocessing"), _make(parser, "postprocessing")
        self._inferer = _make(parser, "inferer")
        self._inferer.device = None  # where the image is, as in MONAI's function

    def segment(self, voxels):
        """(labels, stages): labels uint8 (k, j, i); stages {name: seconds}, and how many windows were looked at."""
        from pipelines.bundles.image import to_image

        windows = 0

        def look(patch):
            nonlocal windows
            windows += len(patch)
            return self._network(patch)

        times = [time.perf_counter()]
        amp = self._torch.autocast("cuda", enabled=self._device.startswith("cuda"))
        with self._torch.no_grad(), amp, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = self._before({self._key: to_image([voxels], AFFINE)})
            times.append(time.perf_counter())
            data["pred"] = self._inferer(data[self._key][None].to(self._device), look)[0]
            self._wait()
            times.append(time.perf_counter())
            answer = self._after(data)["pred"]
            labels = np.ascontiguousarray(answer[0].cpu().numpy().astype(np.uint8).transpose(2, 1, 0))
            times.append(time.perf_counter())
        return labels, _divide(times) | {"windows": windows}

    def _wait(self):
        if self._device.startswith("cuda"):
            self._torch.cuda.synchronize()


class Wetread:
    """The bundle as a worker runs it: its own process, asked over a pipe. Its stages are what it tells of its progress;
    that of preparing has the way of the volume to it, that of laying back the way of the labels from it."""

    def __init__(self, _shelf, device):
        self._model = get_pipeline(NAME).load(device)

    def segment(self, voxels):
        """As Plain.segment, windows not counted."""
        told = []
        volume = Volume(voxels, AFFINE, "1.2.3", "CT")
        begin = time.perf_counter()
        answer = self._model._answer([volume], {}, lambda _, what: told.append((time.perf_counter(), what)))
        end = time.perf_counter()
        first = next(at for at, what in told if what == "segment")
        last = next(at for at, what in told if what == "lay back")
        return answer.arrays["labels"], _divide([begin, first, last, end])


def _divide(times):
    return dict(zip(("pre", "infer", "post"), np.diff(times).tolist(), strict=True))


def main(side, shelf, volume, device):
    use_shelf(Path(shelf))
    voxels = np.load(volume)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    model = {"plain": Plain, "wetread": Wetread}[side](Path(shelf), device)
    model.segment(voxels[:4, :32, :32])  # one window, not counted: what is done only once is done
    for _ in iter(sys.stdin.readline, ""):
        labels, stages = model.segment(voxels)
        np.save(Path(volume).with_name(f"{side}.npy"), labels)
        print(json.dumps(stages), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
