"""Small studies through Orthanc, the node and Orthanc again, while every part is killed and every line breaks.

    python tests/bench/chaos.py [--studies N] [--kills K] [--seed S] [--json] [--quick]

The kills (SIGKILL) and the cuts of the lines come at moments drawn from the seed; so do the faults of single
connections between the two: delayed, truncated, reset, swallowed. What meets what depends on the machine all the same.
After the last of them the node is left to work off what waits; a study counts as stuck when it has no end although
nothing in the whole node moved for 60 s. Then every study is looked for on both sides: its images in the node, one
result set at the PACS or one named failure. The exit code is 1 when a goal is missed, 2 when nothing can be
measured.
"""

import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import command
from command import errors
from goals import Goal
from report import make_goal_table, to_number
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from node.model.job import FINAL
from tests.flow.account import is_over, reckon
from tests.flow.modality import Modality
from tests.flow.storm import KINDS, Storm

GAP = 4.0  # seconds between two kills, on average
PACE = 1.3  # seconds between two studies, on average
QUIET = 60.0  # seconds without any move after which what is not over counts as stuck
STILL = 3.0  # seconds in which nothing more may come once all is over
GOALS = (
    Goal("accepted studies that were lost", "lost", "", 0, at_most=True),
    Goal("studies with two result sets", "doubled", "", 0, at_most=True),
    Goal("studies with no end though nothing moved for 60 s", "stuck", "", 0, at_most=True),
    Goal("failures without a name", "unnamed", "", 0, at_most=True),
    Goal("studies that the node never took", "not_accepted", "", 0, at_most=True),
    Goal("result objects on one side alone", "one_sided", "", 0, at_most=True),
    Goal("processes that outlived the node", "orphans", "", 0, at_most=True),
    Goal("parts that did not come back", "not_back", "", 0, at_most=True),
)


def main():
    parser = command.make_parser(__doc__, "less than two minutes")
    parser.add_argument("--studies", type=int, help="how many (150; 20 when quick)")
    parser.add_argument("--kills", type=int, help="how many kills and cuts (60; 12 when quick)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave logs, ledger and spool for a look")
    options = parser.parse_args()
    options.studies = command.pick(options.studies, options, 150, 20)
    options.kills = command.pick(options.kills, options, 60, 12)
    return command.run(options, _measure, _show)


def _measure(options):
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    with _Kept(parent) if options.keep else tempfile.TemporaryDirectory(prefix="chaos-", dir=parent) as name:
        with Storm(Path(name), options.seed) as storm:
            modality, account, seconds = _blow(storm, options)
            not_back = storm.wait_for_recovery(60)
        figures = _to_figures(storm, modality, account, not_back, seconds)
        return command.make_done(
            Path(name),
            figures,
            GOALS,
            seed=options.seed,
            quick=options.quick,
            kills=dict(sorted(storm.kills.items())),
            connections=dict(sorted((storm.inward.counts + storm.outward.counts).items())),
            failures=dict(Counter(reason.partition(": ")[2].split(":")[0] for reason in account.failed.values())),
            named=account.failed,
            uids={key: getattr(account, key) for key in ("lost", "doubled", "stuck", "older_sets")},
            recovery_s=_summarize(storm.recoveries),
        )


class _Kept:
    """A folder that stays."""

    def __init__(self, parent):
        self._name = tempfile.mkdtemp(prefix="chaos-", dir=parent)

    def __enter__(self):
        errors.print(f"everything stays in {self._name}")
        return self._name

    def __exit__(self, *_):
        pass


def _blow(storm, options):
    """(modality, account, {what: seconds}) of a whole run."""
    modality = Modality(storm.pacs, storm.folder / "scans")
    modality.start()
    span = max(options.kills * GAP, options.studies * PACE)
    kinds = [KINDS[number % len(KINDS)] for number in range(options.kills)]
    storm.chance.shuffle(kinds)
    plan = [(storm.chance.uniform(0, span), "kill", kind) for kind in kinds]
    plan += [(storm.chance.uniform(0, span), "study", "") for _ in range(options.studies)]
    bars = TextColumn("{task.completed}/{task.total}")
    columns = (*Progress.get_default_columns()[:2], bars, TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        seconds = _follow(storm, modality, sorted(plan), progress, options)
    modality.stop()
    time.sleep(STILL)
    return modality, reckon(storm.ledger, storm.settings.spool, storm.pacs, modality.studies), seconds


def _follow(storm, modality, plan, progress, options):
    studies, kills = (progress.add_task(words, total=total) for words, total in (
        ("studies", options.studies), ("kills and cuts", options.kills)
    ))  # fmt: skip
    began = time.monotonic()
    for at, what, kind in plan:
        time.sleep(max(began + at - time.monotonic(), 0))
        if what == "kill":
            storm.kill(kind)
        else:
            modality.send()
        progress.advance(kills if what == "kill" else studies)
    storm.calm()
    blown = time.monotonic()
    ended = progress.add_task("quiet: accepted", total=options.studies)
    _wait(modality.are_all_accepted, lambda: _count_accepted(modality, progress, ended))
    accepted = time.monotonic()
    over = progress.add_task("quiet: over", total=options.studies)
    _wait(lambda: is_over(storm.ledger, modality.studies), lambda: _count_ended(storm, progress, over))
    return {"storm": blown - began, "to_accept": accepted - blown, "to_end": time.monotonic() - accepted}


def _wait(truth, count):
    """Until `truth`, or until `count` did not change for QUIET seconds."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < QUIET and not truth():
        time.sleep(0.3)
        if (now := count()) != last:
            last, since = now, time.monotonic()


def _count_accepted(modality, progress, task):
    """How many studies the node has taken, and transfers were repeated."""
    accepted = sum(bool(study.accepted_at) for study in modality.studies)
    progress.update(task, completed=accepted)
    return accepted, modality.resubmitted


def _count_ended(storm, progress, task):
    """How many jobs are in which state, on which attempt."""
    jobs = storm.ledger.find_jobs()
    progress.update(task, completed=sum(job.state in FINAL for job in jobs))
    return Counter((job.state, job.attempt) for job in jobs), len(storm.ledger.find_studies("COMPLETE"))


def _to_figures(storm, modality, account, not_back, seconds):
    times = [value for _, value in storm.recoveries]
    figures = {
        "studies": len(modality.studies),
        "kills": sum(storm.kills.values()),
        "faults": sum((storm.inward.counts + storm.outward.counts).values()) - storm.inward.counts["clean"]
        - storm.outward.counts["clean"],
        "accepted": account.accepted,
        "confirmed": account.confirmed,
        "failed": len(account.failed),
        "lost": len(account.lost),
        "doubled": len(account.doubled),
        "stuck": len(account.stuck),
        "unnamed": len(account.unnamed),
        "not_accepted": len(modality.studies) - account.accepted,
        "uids_node": len(account.node_uids),
        "uids_pacs": len(account.pacs_uids),
        "one_sided": len(account.node_uids ^ account.pacs_uids) if not account.failed else 0,
        "orphans": len(storm.find_orphans()),
        "not_back": not_back,
        "resubmitted": modality.resubmitted,
        "later_versions": account.later_versions,
        "older_sets": len(account.older_sets),
        "most_attempts": max(account.attempts, default=0),
        "recovery_median_s": statistics.median(times) if times else 0.0,
        "recovery_worst_s": max(times, default=0.0),
        "taken_again": len(account.taken_again_s),
        "taken_again_median_s": statistics.median(account.taken_again_s) if account.taken_again_s else 0.0,
        "taken_again_worst_s": max(account.taken_again_s, default=0.0),
    } | {f"{what}_s": value for what, value in seconds.items()}  # fmt: skip
    return {name: round(value, 2) for name, value in figures.items()}


def _summarize(recoveries):
    """{kind: {"median", "worst"}} in seconds."""
    kinds = {}
    for kind, seconds in sorted(recoveries):
        kinds.setdefault(kind, []).append(seconds)
    return {
        kind: {"median": round(statistics.median(times), 2), "worst": round(max(times), 2)}
        for kind, times in kinds.items()
    }


WORDS = {
    "studies": "sent to the PACS",
    "faults": "connections given a fault: delayed, truncated, reset or swallowed",
    "accepted": "every image answered with success by the node",
    "confirmed": "one result set, confirmed by the PACS",
    "failed": "one named failure",
    "uids_node": "result objects, says the node",
    "uids_pacs": "result objects, says the PACS",
    "resubmitted": "transfers that the PACS was told to repeat",
    "later_versions": "studies of which images came after they counted as complete",
    "older_sets": "of those, with a result of the earlier version at the PACS",
    "most_attempts": "at one job",
    "recovery_median_s": "seconds until a killed part was back",
    "recovery_worst_s": "the slowest",
    "taken_again": "jobs whose worker died, taken again",
    "taken_again_median_s": "seconds from one claim to the next",
    "taken_again_worst_s": "the slowest",
    "storm_s": "seconds of kills and cuts",
    "to_accept_s": "seconds from their end until the node had all images",
    "to_end_s": "seconds from then until every job was over",
}


def _show(done, console):
    table = Table(title=f"Chaos, seed {done['seed']}", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for kind, count in done["kills"].items():
        times = done["recovery_s"].get(kind)
        table.add_row(
            kind, str(count), f"back after {times['median']} s, at worst {times['worst']} s" if times else "cut off"
        )
    table.add_section()
    for fault, count in done["connections"].items():
        table.add_row(f"connections {fault}", str(count), "")
    table.add_section()
    for figure in done["figures"]:
        if figure["name"] in WORDS:
            table.add_row(figure["name"].replace("_", " "), to_number(figure["value"]), WORDS[figure["name"]])
    for reason, count in done["failures"].items():
        table.add_row("failed as", str(count), reason)
    console.print(table)
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())
