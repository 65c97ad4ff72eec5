"""How fast a result becomes DICOM objects, side by side with the encoders that others use, in one run.

    python tests/bench/encode.py [--json] [--quick] [--rounds N]

Every encoder is a process of its own that reads its inputs, then encodes and writes a file to memory, where syncing
costs nothing; the ratios with highdicom are of encoding and writing alone. dcmqi is a program that reads its inputs
itself: there the time to read ours is counted too. Ratios are of medians over interleaved rounds. The exit code is 1
when a goal is missed, 2 when nothing can be measured.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import anatomy
import command
from command import errors
from goals import Goal
from machine import describe
from pydicom import dcmread
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.progress import Progress
from rich.table import Table

HERE = Path(__file__).resolve().parent
MEMORY = Path("/dev/shm")
NEEDED = 5e9
UNITS = {"seconds": "s", "total_s": "s", "read_s": "s", "peak_mb": "MB", "file_mb": "MB", "frames": "frames"}
RUNS = (
    ("seg", 117, ("wetread", "highdicom", "dcmqi")),
    ("seg", 20, ("wetread", "highdicom", "dcmqi")),
    ("seg", 24, ("wetread", "wetread-labelmap", "highdicom-labelmap")),
    ("sr", 117, ("wetread-report", "highdicom-report")),
)
"""(what, segments, encoders that take turns)."""
GOALS = (
    Goal("SEG, 117 segments: faster than highdicom", "seg117.highdicom.seconds", "seg117.wetread.seconds", 7),
    Goal("SEG, 117 segments: faster than dcmqi", "seg117.dcmqi.total_s", "seg117.wetread.total_s", 5),
    Goal("SEG, 20 segments: faster than highdicom", "seg20.highdicom.seconds", "seg20.wetread.seconds", 2.2),
    Goal("SEG, 117 segments: MB above the inputs", "seg117.wetread.peak_mb", "", 300, at_most=True),
    Goal("24 segments: BINARY / LABELMAP bytes", "seg24.wetread.file_mb", "seg24.wetread-labelmap.file_mb", 20),
    Goal("SR, 117 groups: faster than highdicom", "sr117.highdicom-report.seconds", "sr117.wetread-report.seconds", 3),
)


def main():
    parser = command.make_parser(__doc__, "one round of 80 slices: a minute, rough figures", rounds=3, folder=None)
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 3, 1)
    return command.run(options, _measure, _show)


def _show(done, console):
    console.print(_make_table(done["figures"]))
    console.print(make_goal_table(done["goals"]))


def _measure(options):
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < NEEDED:
        raise CannotMeasure(f"{MEMORY} has less than {NEEDED / 1e9:.0f} GB free")
    with tempfile.TemporaryDirectory(prefix="wetread-encode-", dir=MEMORY) as folder:
        return _measure_in(Path(folder), options)


def _measure_in(folder, options):
    program, planes = _find_dcmqi(), 80 if options.quick else 300
    if program is None:
        errors.print("[yellow]dcmqi (PyPI package dcmqi) does not run here: its goal is not judged[/yellow]")
    anatomy.write_inputs(folder, planes, sorted({count for _, count, _ in RUNS}))
    figures = to_figures(_run(_choose(options.quick, program), options.rounds, folder, program))
    return command.make_done(
        folder,
        figures,
        GOALS,
        machine=describe(folder) | {name: version(name) for name in ("highdicom", "pydicom", "numpy")},
        dcmqi=version("dcmqi") if program else "",
        rounds=options.rounds,
        planes=planes,
        figures=[
            {"name": name, "value": value, "unit": UNITS[name.rpartition(".")[2]]} for name, value in figures.items()
        ],
        missing=[goal.name for goal in GOALS if goal.judge(figures) is None],
    )


def _choose(quick, program):
    """RUNS without what is not installed and, when quick, without what no goal asks for."""
    asked = {figure.rpartition(".")[0] for goal in GOALS for figure in (goal.figure, goal.other)}
    return [
        (what, count, [n for n in names if (program or n != "dcmqi") and (not quick or f"{what}{count}.{n}" in asked)])
        for what, count, names in RUNS
    ]


def _run(runs, rounds, folder, program):
    """{(what, segments, encoder): [numbers of each round]}."""
    results = {}
    with Progress(console=errors) as progress:
        task = progress.add_task("", total=rounds * sum(len(names) for _, _, names in runs))
        for turn in range(rounds):
            for what, count, names in runs:
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    progress.update(task, description=f"{turn + 1}/{rounds} {what} {count} {name}", refresh=True)
                    numbers = _encode_once(name, folder, count, program)
                    results.setdefault((what, count, name), []).append(numbers)
                    progress.console.print(f"{what} {count} {name}: {numbers['total_s']:.2f} s in all")
                    progress.advance(task)
    return results


def _encode_once(name, folder, count, program):
    out = folder / "out.dcm"
    try:
        if name == "dcmqi":
            numbers = _encode_by_dcmqi(program, folder, count, out)
        else:
            numbers = _encode_by_python(name, folder, count, out)
        frames = dcmread(out, specific_tags=["NumberOfFrames"], stop_before_pixels=True).get("NumberOfFrames", 0)
        return numbers | {"file_mb": out.stat().st_size / 1e6, "frames": int(frames)}
    finally:
        out.unlink(missing_ok=True)


def _encode_by_python(name, folder, count, out):
    command = [sys.executable, str(HERE / "encoders.py"), name, str(folder), str(count), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"{name} failed: {done.stderr[-2000:]}")
    numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers | {"total_s": numbers["read_s"] + numbers["seconds"]}


def _encode_by_dcmqi(program, folder, count, out):
    """Empty frames left out (--skip), as by the others. Memory is that of the whole process."""
    command = [
        str(program), "--inputImageList", str(folder / f"{count}.nrrd"), "--inputDICOMDirectory", str(folder / "ct"),
        "--inputMetadata", str(folder / f"{count}.json"), "--outputDICOM", str(out), "--skip", "1",
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not out.is_file():
        raise CannotMeasure(f"itkimage2segimage ended with {process.returncode}")
    return {"total_s": time.perf_counter() - began, "peak_mb": usage.ru_maxrss * 1024 / 1e6}


def _find_dcmqi():
    """itkimage2segimage of the installed wheel; None where there is none that runs."""
    spec = find_spec("dcmqi")
    program = Path(spec.origin).parent / "bin" / "itkimage2segimage" if spec and spec.origin else None
    if program is None or not program.is_file():
        return None
    works = subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    return program if works else None


def to_figures(results):
    """{what+segments.encoder.quantity: value}: medians, but of memory the most."""
    figures = {}
    for (what, count, name), rounds in results.items():
        for quantity in UNITS:
            values = [numbers[quantity] for numbers in rounds if quantity in numbers]
            if values:
                value = max(values) if quantity == "peak_mb" else statistics.median(values)
                figures[f"{what}{count}.{name}.{quantity}"] = round(value, 4)
    return figures


def _make_table(figures):
    """A row for each encoder of each run."""
    table = Table(title="512 x 512, to memory", caption="peak MB: above the inputs; of dcmqi all", title_justify="left")
    table.add_column("object")
    table.add_column("encoder")
    for title in ("encode + write s", "with reading s", "peak MB", "file MB", "frames"):
        table.add_column(title, justify="right")
    rows = {}
    for figure in figures:
        run, name, quantity = figure["name"].split(".")
        rows.setdefault((run, name), {})[quantity] = figure["value"]
    for (run, name), numbers in rows.items():
        cells = [
            to_number(numbers.get(quantity)) for quantity in ("seconds", "total_s", "peak_mb", "file_mb", "frames")
        ]
        table.add_row(run, name, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
