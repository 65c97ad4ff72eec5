"""How fast a bundle segments, beside MONAI's own sliding window with the bundle's own settings.

    python tests/bench/infer.py [--json] [--quick] [--rounds N] [--device cpu|cuda]

The whole-body network at low resolution (105 classes), built from its configuration with weights from a seed, reads a
made chest of 512 x 512 pixels. Wetread is measured as a worker runs it, in a process of its own and with the way to it
and back; MONAI in one process, without files. Both begin with the volume and end with labels on its grid. The exit code
is 1 when a goal is missed, 2 when nothing can be measured.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import command
import numpy as np
from command import errors
from goals import Goal
from processes import PeakWatch, cpu_seconds
from receivers import HERE, ROOT, CannotMeasure
from report import make_goal_table, to_number
from rich.table import Table

sys.path.insert(0, str(ROOT))

SIDES = {"plain": "MONAI, plain", "wetread": "Wetread"}
PLANES, QUICK_PLANES = 64, 50
"""Of 5 mm: at 3 mm two windows along the body, or one."""
COLUMNS = {
    "seconds": "seconds",
    "windows_per_s": "windows/s",
    "pre": "prepare s",
    "infer": "windows s",
    "post": "lay back s",
    "share": "pre + post",
    "cpu_s": "CPU s",
    "peak_mb": "peak MB",
}
UNITS = {
    "seconds": "s",
    "windows_per_s": "windows/s",
    "pre": "s",
    "infer": "s",
    "post": "s",
    "cpu_s": "s",
    "peak_mb": "MB",
}
GOALS = (
    Goal("cpu: Wetread / MONAI, plain, studies in the same time", "cpu.plain.seconds", "cpu.wetread.seconds", 2),
    Goal("cpu: windows/s, Wetread / MONAI, plain", "cpu.wetread.windows_per_s", "cpu.plain.windows_per_s", 2),
    Goal("cpu: seconds of CPU, MONAI, plain / Wetread", "cpu.plain.cpu_s", "cpu.wetread.cpu_s", 2),
    Goal("cpu: mean Dice of all classes, Wetread and MONAI", "cpu.both.dice", "", 0.999),
    Goal("cuda: mean Dice of all classes, Wetread and MONAI", "cuda.both.dice", "", 0.99),
    Goal("cpu: share of preparing and laying back", "cpu.wetread.share", "", 0.15, at_most=True),
)


def main():
    parser = command.make_parser(__doc__, "one round of four windows: less than two minutes, rough figures", rounds=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 3, 1)
    return command.run(options, _measure, _show)


def _measure(options):
    if options.device == "cuda" and not _has_gpu():
        raise CannotMeasure("there is no CUDA GPU here")
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="infer-", dir=parent) as name:
        folder = Path(name)
        _install(folder)
        np.save(folder / "volume.npy", make_chest(QUICK_PLANES if options.quick else PLANES))
        load = os.getloadavg()[0]
        rounds = _run(folder, options)
        figures = _to_figures(rounds, options.device) | _compare(folder, options.device)
        return command.make_done(
            folder,
            figures,
            GOALS,
            rounds=options.rounds,
            quick=options.quick,
            device=_name_device(options.device),
            load=round(load, 1),
            figures=[_to_entry(name, value) for name, value in figures.items()],
        )


def _install(folder):
    from pipelines.bundles.install import add_bundle
    from tests.pipelines.bundles.made import make_bundle

    bundle = make_bundle("wholeBody_ct_segmentation", folder, weights="model_lowres.pt")
    add_bundle(bundle, folder / "shelf", "whole")


def make_chest(planes):
    """float32 (planes, 512, 512) in HU: noise of a body with lungs, a spine and organs, in the circle of a scanner."""
    rng = np.random.default_rng(7)
    k, j, i = np.ogrid[:planes, :512, :512]
    voxels = rng.normal(-990, 12, (planes, 512, 512)).astype(np.float32)
    body = ((j - 270) / 150) ** 2 + ((i - 256) / 215) ** 2 < 1
    parts = [(body, 40)]
    for side in (-1, 1):
        lung = ((k - planes * 0.6) / (planes * 0.5)) ** 2 + ((j - 255) / 95) ** 2 + ((i - 256 - side * 100) / 75) ** 2
        parts.append((lung < 1, -850))
    parts += [(((j - 350) / 30) ** 2 + ((i - 256) / 26) ** 2 < 1 + 0 * k, 320)]
    parts += [(((k - planes * 0.4) / 14) ** 2 + ((j - 240) / 50) ** 2 + ((i - 275) / 55) ** 2 < 1, 140)]
    for where, level in parts:
        whole = np.broadcast_to(where, voxels.shape)
        voxels[whole] = rng.normal(level, 18, int(whole.sum()))
    circle = np.broadcast_to((j - 255.5) ** 2 + (i - 255.5) ** 2 > 256**2, voxels.shape)
    voxels[circle] = -2000
    return voxels.round()


def _run(folder, options):
    """{side: [numbers of each round]}."""
    rounds, windows = {side: [] for side in SIDES}, 0
    with contextlib.ExitStack() as stack:
        sides = {side: stack.enter_context(_Side(side, folder, options.device)) for side in SIDES}
        for number in range(options.rounds):
            for side, process in sides.items():
                stages = process.segment()
                windows = windows or stages["windows"]  # as many as MONAI, which comes first, has looked at
                numbers = _to_numbers(stages, windows)
                rounds[side].append(numbers)
                errors.print(f"{number + 1}/{options.rounds} {SIDES[side]}: {numbers['seconds']:.1f} s")
    return rounds


class _Side:
    """The process of one side, from `with` to its end."""

    def __init__(self, side, folder, device):
        words = [side, str(folder / "shelf"), str(folder / "volume.npy"), device]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "infer_sides.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._process.kill()  # in the middle of a round; a bundle's process ends with its parent
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)

    def segment(self):
        """The stages of one round. Raises CannotMeasure when the process ends instead."""
        cpu = cpu_seconds(self._process.pid)
        with PeakWatch(self._process.pid) as watch, contextlib.suppress(BrokenPipeError):
            print("go", file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        if not line:
            raise CannotMeasure("one side ended; its own words are above")
        cpu = cpu_seconds(self._process.pid) - cpu
        return json.loads(line) | {"cpu_s": cpu, "peak_mb": watch.peak}


def _to_numbers(stages, windows):
    seconds = stages["pre"] + stages["infer"] + stages["post"]
    share = (stages["pre"] + stages["post"]) / seconds
    return stages | {"seconds": seconds, "windows_per_s": windows / stages["infer"], "share": share}


def _to_figures(rounds, device):
    """Medians, of memory the most."""
    return {
        f"{device}.{side}.{name}": round((max if name == "peak_mb" else statistics.median)(n[name] for n in numbers), 4)
        for side, numbers in rounds.items()
        for name in COLUMNS
    }


def _compare(folder, device):
    """How the labels of both agree: the mean Dice of all classes that either has, and the share of equal voxels."""
    one, other = (np.load(folder / f"{side}.npy") for side in SIDES)
    both = np.bincount(one[one == other], minlength=256)
    all_voxels = np.bincount(one.ravel(), minlength=256) + np.bincount(other.ravel(), minlength=256)
    dice = 2 * both[all_voxels > 0] / all_voxels[all_voxels > 0]
    if len(dice) < 3:
        raise CannotMeasure("the network finds hardly anything: its labels compare nothing")
    return {
        f"{device}.both.dice": round(float(dice.mean()), 6),
        f"{device}.both.equal": round(float((one == other).mean()), 6),
        f"{device}.both.classes": len(dice),
    }


def _to_entry(name, value):
    return {"name": name, "value": value, "unit": UNITS.get(name.rpartition(".")[2], "")}


def _has_gpu():
    import torch

    return torch.cuda.is_available()


def _name_device(device):
    if device == "cpu":
        return "CPU"
    import torch

    return torch.cuda.get_device_name()


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    device = next(iter(figures)).partition(".")[0]
    table = Table(title=f"Whole body, low resolution, {done['device']}, median of {done['rounds']}")
    table.add_column("")
    for words in COLUMNS.values():
        table.add_column(words, justify="right")
    for side, title in SIDES.items():
        table.add_row(title, *(to_number(figures[f"{device}.{side}.{name}"]) for name in COLUMNS))
    console.print(table)
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())
