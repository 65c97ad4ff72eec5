"""How long a study takes through the whole node, the model's own time aside.

    python tests/bench/turnaround.py [--json] [--quick] [--rounds N]

A CT of 500 slices is sent to a node as `wetread up` runs it; a pipeline answers with 20 segments and a measurement of
each. Measured is from the answer to the last C-STORE until the last result object is confirmed by its destination,
without the configured quiet period and without the time that the model took. Where others use the machine at the same
time, the CPU seconds of the node tell how much of it was its own. The exit code is 1 when a goal is missed, 2 when
nothing can be measured.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import command
import slices
from command import errors
from goals import Goal
from pydicom import dcmread
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.table import Table
from whole_node import DESTINATIONS, WholeNode, find_missing, wait_until

from node.model.job import FINAL, State
from node.outbound.send import send_files

SLICES = 500
QUIET = 2  # seconds
NEEDED = 2e9  # bytes, and as much again for each round
STATIONS = {
    "close": "the study is seen to be complete, after the quiet period",
    "claim": "the job is queued until a worker has claimed it",
    "load": "headers, geometry, pixels to a volume",
    "warm": "the model is at hand",
    "encode": "objects made and checked",
    "put": "objects written to the outbox and synced",
    "rest": "of the worker: reading the job, moving it in the ledger",
    "deliver": "sent, each object answered with success",
    "confirm": "confirmed as the destination is asked to",
}
GOALS = tuple(
    Goal(
        f"{SLICES} slices, 20 segments, {one.promise}: seconds",
        f"{one.name}.turnaround",
        "",
        2,
        at_most=True,
        moonshot=one.slow,
    )
    for one in DESTINATIONS
)


def main():
    parser = command.make_parser(__doc__, "one round: less than two minutes, rough figures", rounds=5)
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 5, 1)
    return command.run(options, _measure, _show)


def _measure(options):
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(parent).free < NEEDED * (1 + options.rounds):
        raise CannotMeasure(f"{parent} has less than {NEEDED * (1 + options.rounds) / 1e9:.0f} GB free")
    missing = find_missing()
    destinations = [one for one in DESTINATIONS if one.name not in missing]
    for needed in missing.values():
        errors.print(f"[yellow]{needed} is not here: what it is needed for is left out[/yellow]")
    with tempfile.TemporaryDirectory(prefix="turnaround-", dir=parent) as name:
        rounds = _run(Path(name), destinations, options.rounds)
        figures = _to_figures(rounds)
        return command.make_done(
            Path(name),
            figures,
            GOALS,
            rounds=options.rounds,
            quick=options.quick,
            missing=sorted(missing.values()),
            figures=[_to_entry(name, value) for name, value in figures.items()],
        )


def _run(folder, destinations, count):
    """{destination name: [seconds of each station, a round each]}."""
    rounds = {one.name: [] for one in destinations}
    with WholeNode(folder, destinations, QUIET) as node:
        for one in destinations:
            errors.print(f"{one.name}: a short study first, so that nothing is done for the first time")
            _send(node, one, folder / f"first-{one.name}", 20)
        for number in range(count):
            for one in destinations:
                seconds = _send(node, one, folder / f"{number}-{one.name}", SLICES)
                rounds[one.name].append(seconds)
                errors.print(f"{number + 1}/{count} {one.name}: {sum(_own(seconds).values()):.2f} s")
    return rounds


def _send(node, destination, folder, count):
    """Seconds at each station for one study of `count` slices, which is made for it and then removed."""
    paths = slices.write_slices(folder, count)
    study = str(dcmread(paths[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    answered = []
    address = ("127.0.0.1", node.door)
    sent = send_files(paths, destination.scanner, address, "WETREAD", lambda *_: answered.append(time.time()))
    cpu = node.cpu_seconds()
    shutil.rmtree(folder)
    if sent.taken != count:
        raise CannotMeasure(f"of {count} slices {sent.taken} were taken: {sent.refused[0][1]}")

    def over():
        jobs = node.ledger.find_jobs(study)
        return jobs and all(job.state in FINAL for job in jobs) and jobs

    (job,) = wait_until(over, 120, f"the study is not done after two minutes: {node.say_log()}")
    if job.state != State.CONFIRMED:
        raise CannotMeasure(f"the job ended as {job.state}: {job.reason}")
    cpu = node.cpu_seconds() - cpu
    return {"cpu": cpu} | _divide(node.ledger.find_history(job.id), answered[-1], job.created_at)


def _divide(history, answered, created):
    """{station: seconds} from the last answer to the last confirmation; "quiet" and "run" are not the node's."""
    at = {event.state: event.at for event in history}
    worked, sent = (next(e.seconds for e in history if e.state == s) for s in (State.ENCODED, State.DELIVERED))
    hands = at[State.ENCODED] - at[State.CLAIMED]
    return {
        "quiet": float(QUIET),
        "run": worked["run"],
        "close": created - answered - QUIET,
        "claim": at[State.CLAIMED] - created,
        **{station: worked.get(station, 0.0) for station in ("load", "warm", "encode", "put")},
        "rest": hands - sum(worked.values()),
        "deliver": sent["deliver"],
        "confirm": at[State.CONFIRMED] - at[State.ENCODED] - sent["deliver"],
    }


def _own(seconds):
    return {station: seconds[station] for station in STATIONS}


def _to_figures(rounds):
    """Medians. The turnaround is the median of its own, so that stations need not add up to it."""
    figures = {}
    for name, measured in rounds.items():
        totals = [sum(_own(seconds).values()) for seconds in measured]
        figures[f"{name}.turnaround"] = round(statistics.median(totals), 4)
        figures[f"{name}.slowest"] = round(max(totals), 4)
        for station in (*STATIONS, "run", "cpu"):
            figures[f"{name}.{station}"] = round(statistics.median(s[station] for s in measured), 4)
    return figures


def _to_entry(name, value):
    """One figure, with its goal where it has one."""
    goal = next((goal for goal in GOALS if goal.figure == name), None)
    bound = {"goal": goal.goal, "met": value <= goal.goal} if goal else {}
    return {"name": name, "value": value, "unit": "s", **bound}


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    names = list(dict.fromkeys(name.partition(".")[0] for name in figures))
    table = Table(title=f"Where the time goes, seconds, median of {done['rounds']}", title_justify="left")
    table.add_column("station")
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=False)
    for station, words in STATIONS.items():
        table.add_row(station, *(to_number(figures[f"{name}.{station}"]) for name in names), words)
    table.add_section()
    table.add_row(
        "turnaround", *(to_number(figures[f"{name}.turnaround"]) for name in names), "without model and quiet"
    )
    table.add_row("slowest", *(to_number(figures[f"{name}.slowest"]) for name in names), "of all rounds")
    table.add_row("run", *(to_number(figures[f"{name}.run"]) for name in names), "the model's own, not counted")
    table.add_row(
        "cpu", *(to_number(figures[f"{name}.cpu"]) for name in names), "of all processes of the node meanwhile"
    )
    console.print(table)
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())
