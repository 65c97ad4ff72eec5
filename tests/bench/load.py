"""How fast a series is loaded, side by side with other readers on this machine in one run.

    python tests/bench/load.py [--json] [--quick] [--rounds N] [--folder DIR]

500 slices of 512 x 512 whose files are in the page cache: what is measured is reading, not the disk. Every figure is
a median over interleaved rounds, after one that is not counted; of each two calls in a row the second is. The exit
code is 1 when a goal is missed (a moonshot fails nobody), 2 when nothing can be measured.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import command
import numpy as np
import slices
from command import errors
from goals import Goal
from pydicom.uid import JPEGLosslessSV1
from readers import THREADS, WAYS, find_missing
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.progress import Progress
from rich.table import Table

from node.heap import keep_large

MEMORY = Path("/dev/shm")
NEEDED = 8e9  # bytes of free memory: pydicom's floats alone take three times their 0.5 GB
SLICES = 500
ENCODED = 100
SCANS = {
    "ct": f"{SLICES} slices, uncompressed",
    "jpeg": f"{ENCODED} slices, JPEG lossless",
    "frames": f"one Enhanced CT of {SLICES} frames",
}
WIDTH = 140  # of tables that go to a file


def _faster(name, peer, own, factor, moonshot=False):
    return Goal(name, f"ct.{peer}.s", f"ct.{own}.s", factor, moonshot=moonshot)


GOALS = (
    _faster("int16 in order: pydicom's naive loop / Wetread", "pydicom-stored", "wetread-stored", 5),
    _faster("int16 in order: MONAI's better reader / Wetread", "monai", "wetread-stored", 30),
    Goal("int16 in order: Wetread / every file's bytes", "ct.wetread-stored.s", "ct.bytes.s", 1.2, at_most=True),
    Goal(
        "int16 in order: Wetread / the same bytes into one array",
        "ct.wetread-stored.s",
        "ct.array.s",
        1.2,
        at_most=True,
        moonshot=True,
    ),
    _faster("float32 HU: pydicom's naive loop / Wetread", "pydicom", "wetread", 10),
    _faster("float32 HU: pydicom's loop without float64 / Wetread", "pydicom-float32", "wetread", 10, moonshot=True),
    _faster("float32 HU: MONAI's better reader / Wetread", "monai", "wetread", 30, moonshot=True),
)


def main():
    parser = command.make_parser(__doc__, "two rounds, both counted, MONAI once: two minutes", rounds=9, folder=None)
    parser.add_argument("--folder", type=Path, help="where the series is written (in memory where there is room)")
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 9, 1)
    keep_large()  # as in a worker, for whoever reads
    return command.run(options, _measure, _show, WIDTH)


def _measure(options):
    missing = find_missing()
    for package, title in missing.items():
        errors.print(f"[yellow]{package} is not here: {title} is left out[/yellow]")
    parent = options.folder or (MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > NEEDED else None)
    with tempfile.TemporaryDirectory(prefix="wetread-load-", dir=parent) as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < NEEDED / 4:
            raise CannotMeasure(f"{folder.parent} has less than {NEEDED / 4e9:.0f} GB free")
        scans = _write_scans(folder)
        seconds = _run(scans, missing, options)
    figures = {f"{scan}.{way}.s": round(statistics.median(times), 4) for (scan, way), times in seconds.items()}
    readers = [value for name, value in figures.items() if name.startswith("ct.monai-")]
    if readers:
        figures["ct.monai.s"] = min(readers)
    return command.make_done(
        folder.parent,
        figures,
        GOALS,
        rounds=options.rounds,
        quick=options.quick,
        threads=THREADS,
        page_cache="warm",
        missing=sorted(missing),
        figures=[{"name": name, "value": value, "unit": "s"} for name, value in figures.items()],
    )


def _write_scans(folder):
    """{scan: its files}."""
    with errors.status("writing the series"):
        return {
            "ct": slices.write_slices(folder / "ct", SLICES),
            "jpeg": slices.write_slices(folder / "jpeg", ENCODED, JPEGLosslessSV1),
            "frames": [slices.write_frames(folder / "frames", SLICES)],
        }


def _run(scans, missing, options):
    """{(scan, way): seconds of each round}. The first round checks that all agree on the voxels; it counts in a
    quick run alone, which measures MONAI no more than then."""
    pairs = [(scan, way) for scan in scans for way in WAYS if scan in way.scans and way.needs not in missing]
    seconds = {(scan, way.name): [] for scan, way in pairs}
    agreed = {}
    with Progress(console=errors) as progress:
        task = progress.add_task("", total=(options.rounds + 1) * len(pairs))
        for number in range(options.rounds + 1):
            for scan, way in pairs:
                progress.update(task, description=f"{number}/{options.rounds} {scan}: {way.title}")
                once = options.quick and way.needs
                if number == 0 or not once:
                    took, voxels = _time(way, scans[scan])
                    if number == 0:
                        _check(agreed, scan, way, voxels)
                    if number or options.quick:
                        seconds[scan, way.name].append(took)
                    del voxels
                progress.advance(task)
    return seconds


def _time(way, paths):
    """(seconds, voxels) of the second of two calls. The first brings memory in: on a virtual machine the host has to
    find it, which may take ten times as long as all the reading and says nothing of the way."""
    way.load(paths)
    begun = time.perf_counter()
    voxels = way.load(paths)
    return time.perf_counter() - begun, voxels


def _check(agreed, scan, way, voxels):
    """Raises CannotMeasure when a way has other voxels than the one before it. MONAI turns and flips its axes, so of
    it the sum in each plane is compared."""
    if way.name in ("bytes", "array"):
        return
    voxels = np.asarray(voxels)
    kind = (scan, voxels.dtype)
    if way.needs:
        voxels = voxels.transpose(2, 1, 0)
        same = any(np.allclose(_sum_planes(voxels[::step]), _sum_planes(agreed[kind]), rtol=1e-4) for step in (1, -1))
    else:
        same = kind not in agreed or np.array_equal(voxels, agreed[kind])
    if not same:
        raise CannotMeasure(f"{way.title} has other voxels in {SCANS[scan]} than the way before it")
    agreed.setdefault(kind, voxels)


def _sum_planes(voxels):
    return voxels.sum(axis=(1, 2), dtype=np.float64)


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    for scan, title in SCANS.items():
        table = Table(title=f"{title}, page cache warm, {done['threads']} threads", title_justify="left")
        table.add_column("way")
        table.add_column("seconds", justify="right")
        table.add_column("Wetread is", justify="right")
        for way in WAYS:
            value = figures.get(f"{scan}.{way.name}.s")
            if scan not in way.scans or value is None:
                continue
            own = figures[f"{scan}.wetread-stored.s" if _is_stored(way) else f"{scan}.wetread.s"]
            table.add_row(way.title, to_number(value), f"{value / own:.2f} x")
        console.print(table)
    console.print(make_goal_table(done["goals"]))


def _is_stored(way):
    """Whether a way is held against our int16, not our float32."""
    return way.name in ("bytes", "array") or way.name.endswith("-stored")


if __name__ == "__main__":
    sys.exit(main())
