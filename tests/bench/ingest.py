"""How fast images come in, side by side with other receivers on this machine in one run.

    python tests/bench/ingest.py [--json] [--quick] [--rounds N] [--only NAME ...] [--publish]

Every receiver is a process of its own on loopback, every ratio is of medians over interleaved rounds. The exit code is
1 when a goal is missed (a moonshot fails nobody), 2 when nothing can be measured.
"""

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import command
import images
import publish
import senders
from command import errors
from goals import GOALS, to_figures
from machine import find_filesystem
from measure import UNITS, Load, combine, run_round
from receivers import KINDS, ROOT, CannotMeasure, find_missing
from report import make_goal_table, make_tables, to_line
from rich.progress import Progress
from scenarios import SCENARIOS, choose

MEMORY = Path("/dev/shm")
NEEDED = 3e9  # bytes, there and on the disk
WIDTH = 140  # of tables that go to a file


def main():
    options = _parse()
    return command.run(options, _measure, _show, WIDTH)


def _parse():
    parser = command.make_parser(__doc__, "one round of fewer images: two minutes, rough figures", rounds=5)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--publish", action="store_true", help="write performance.md and performance.svg")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where --publish writes")
    options = parser.parse_args()
    if options.publish and (options.quick or options.only) and options.docs == ROOT / "docs":
        parser.error("a quick or partial run is not published (use --docs to look at the pages)")
    options.rounds = command.pick(options.rounds, options, 5, 1)
    return options


def _measure(options):
    with ExitStack() as stack:
        done = _measure_in(stack, options)
    if options.publish:
        publish.write(done, options.docs)
    return done


def _measure_in(stack, options):
    missing = find_missing()
    disk, memory = _make_folder(options.folder, stack), _make_memory_folder(stack)
    scenarios = choose(options.only, options.quick, missing)
    if memory is None:
        missing["memory"] = f"{NEEDED / 1e9:.0f} GB free in {MEMORY}"
        scenarios = [scenario for scenario in scenarios if scenario.place == "disk"]
    for needed in missing.values():
        errors.print(f"[yellow]{needed} is not here: what it is needed for is left out[/yellow]")
    senders.build(disk / "tools")
    load = _make_load(disk, scenarios, options.quick)
    results = _run(scenarios, options.rounds, {"disk": disk, "memory": memory}, load)
    figures = to_figures(results)
    return command.make_done(
        disk,
        figures,
        GOALS,
        rounds=options.rounds,
        quick=options.quick,
        missing=sorted(missing.values()),
        figures=[
            {"name": name, "value": value, "unit": UNITS[name.rpartition(".")[2]]} for name, value in figures.items()
        ],
    )


def _make_folder(parent, stack):
    """A folder of our own that goes when the run ends, with the parents that we had to make."""
    parent = parent.absolute()
    made = [place for place in (parent, *parent.parents) if not place.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(parent).free < NEEDED:
        raise CannotMeasure(f"{parent} has less than {NEEDED / 1e9:.0f} GB free")
    folder = Path(tempfile.mkdtemp(prefix="ingest-", dir=parent))
    stack.callback(_remove, folder, made)
    if find_filesystem(folder) in {"tmpfs", "ramfs", "overlay"}:
        errors.print(f"[yellow]{parent} is on {find_filesystem(folder)}: syncing may cost nothing there[/yellow]")
    return folder


def _make_memory_folder(stack):
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < NEEDED:
        return None
    folder = Path(tempfile.mkdtemp(prefix="wetread-ingest-", dir=MEMORY))
    stack.callback(_remove, folder, [])
    return folder


def _remove(folder, made):
    shutil.rmtree(folder, ignore_errors=True)
    for place in made:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _make_load(disk, scenarios, quick):
    kinds = {scenario.kind for scenario in scenarios}
    templates = {"ct": images.write_slices("ct", 64, disk / "ct")}
    if "mr" in kinds:
        templates["mr"] = images.write_slices("mr", 64, disk / "mr")
    if "frames" in kinds:
        templates["frames"] = [images.write_frames(disk / "frames")]
    count = max((sum(s.images.values()) for s in scenarios if s.sender == "storescu"), default=0)
    files = images.write_slices("ct", count, disk / "files") if count else []
    digests = {kind: images.to_digests(kind, paths) for kind, paths in templates.items()}
    digests["ct"] |= images.to_digests("ct", files)
    return Load(
        senders={kind: senders.FastSender(disk / "tools", paths) for kind, paths in templates.items()},
        sizes={kind: paths[0].stat().st_size for kind, paths in templates.items()},
        digests=digests,
        files=files,
        idle_seconds=3 if quick else 5,
    )


def _run(scenarios, rounds, folders, load):
    """{(scenario, associations, receiver): numbers}, of all rounds."""
    results = {}
    with Progress(console=errors) as progress:
        task = progress.add_task("", total=rounds * len(scenarios))
        for number in range(rounds):
            for scenario in scenarios:
                label = f"{number + 1}/{rounds} {scenario.name}"
                progress.update(task, description=label)

                def note(receiver, associations, numbers, scenario=scenario, label=label):
                    results.setdefault((scenario.name, associations, receiver), []).append(numbers)
                    progress.console.print(f"{label} x{associations} {KINDS[receiver].title}: {to_line(numbers)}")

                place, tools = folders[scenario.place], folders["disk"] / "tools"
                run_round(scenario, number, place, tools, load, note, progress.console.print)
                progress.advance(task)
    return {key: combine(numbers) for key, numbers in results.items()}


def _show(done, console):
    for table in make_tables(done):
        console.print(table)
    if done["goals"]:
        console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())
