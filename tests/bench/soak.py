"""Traffic for minutes that would take a day: do memory, file descriptors and the ledger stay as they are?

    python tests/bench/soak.py [--minutes M] [--json] [--quick]

Small studies go through Orthanc, the node and Orthanc again, one after another without a pause; a day of a department
with 400 studies is 400 studies. After a first third, in which everybody gets warm, memory (resident, without mapped
files) and open file descriptors of each role are looked at every second: a straight line is laid through them, and its
rise until the end must not be more than a leak would have to be. What still rises slows down when it is warmth and
does not when it is a leak, so the rise per study of the last half is told beside that of the half before, and --json
has the whole curve. The ledger is measured in bytes per study. The exit code is 1 when a goal is missed, 2 when nothing
can be measured.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import command
from command import errors
from goals import Goal
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.progress import Progress
from rich.table import Table

from tests.flow.account import is_over, reckon
from tests.flow.modality import Modality
from tests.flow.storm import WORDS, Storm

WARM = 1 / 3  # of the time
AT_ONCE = 6  # studies under way
UNITS = ("mb", "rise_mb", "early_kb_per_study", "late_kb_per_study", "files", "rise_files")
KB_PER_STUDY = 40  # of 10 images, 2 results and one job
ROLES = (*WORDS, "supervisor")
GOALS = (
    *(Goal(f"{role}: memory rises by MB", f"{role}.rise_mb", "", 12, at_most=True) for role in ROLES),
    *(Goal(f"{role}: descriptors rise by", f"{role}.rise_files", "", 3, at_most=True) for role in ROLES),
    Goal("ledger: kB per study", "ledger_kb_per_study", "", KB_PER_STUDY, at_most=True),
    Goal("studies without an end, or lost, or doubled", "wrong", "", 0, at_most=True),
)  # fmt: skip


def main():
    parser = command.make_parser(__doc__, "less than two minutes: warm-up is most of it")
    parser.add_argument("--minutes", type=float, help="of traffic (20; 1.2 when quick)")
    options = parser.parse_args()
    options.minutes = command.pick(options.minutes, options, 20, 1.2)
    return command.run(options, _measure, _show)


def _measure(options):
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=parent) as name:
        with Storm(Path(name), 0, share=0.0, work_s=0.0) as storm:
            looks, sizes, account = _send(storm, options.minutes * 60)
        figures = _to_figures(looks, sizes, account)
        more = {"minutes": options.minutes, "quick": options.quick, "curve": _make_curve(looks)}
        return command.make_done(Path(name), figures, GOALS, **more)


def _send(storm, seconds):
    """([(second, studies, {role: (MB, descriptors)})], [(studies, bytes of the ledger)], account)."""
    modality = Modality(storm.pacs, storm.folder / "scans")
    modality.start()
    looks, sizes, began, looked = [], [], time.monotonic(), 0.0
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task("studies", total=seconds)
        while (now := time.monotonic() - began) < seconds:
            ended = storm.ledger.count_jobs(["CONFIRMED", "FAILED"])
            if len(modality.studies) - ended < AT_ONCE:
                modality.send()
            if now - looked >= 1:
                looked = now
                looks.append((now, ended, {role: _look(storm, role) for role in ROLES}))
                sizes.append((ended, _measure_ledger(storm)))
                progress.update(bar, completed=now, description=f"studies: {ended}")
            time.sleep(0.05)
    storm.wait_until(modality.are_all_accepted, 120)
    storm.wait_until(lambda: is_over(storm.ledger, modality.studies), 120)
    modality.stop()
    return looks, sizes, reckon(storm.ledger, storm.settings.spool, storm.pacs, modality.studies)


def _look(storm, role):
    """(MB, open descriptors) of the role's processes together."""
    pids = [storm.process.pid] if role == "supervisor" else storm.find_pids(WORDS[role])
    kept = f"{storm.settings.spool}/kept/"
    return sum(_private(pid) for pid in pids), sum(_descriptors(pid, kept) for pid in pids)


def _private(pid):
    """Resident memory without mapped files, which the system takes back when it needs to."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon:"))


def _descriptors(pid, kept):
    """Without those of the spool's 256 folders, which the listener opens as it needs them and keeps."""
    try:
        return sum(not str(link.readlink()).startswith(kept) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def _measure_ledger(storm):
    return sum(path.stat().st_size for path in storm.settings.node.home.glob("ledger.sqlite"))


def _to_figures(looks, sizes, account):
    figures = {"studies": account.confirmed + len(account.failed)}
    figures["wrong"] = len(account.stuck) + len(account.lost) + len(account.doubled) + len(account.failed)
    measured = [look for look in looks if look[0] >= looks[-1][0] * WARM]
    if len(measured) < 20:
        raise CannotMeasure("too short: less than 20 s were left after the warm-up")
    at, studies = (np.array([look[index] for look in measured], float) for index in (0, 1))
    for role in ROLES:
        for index, unit in enumerate(("mb", "files")):
            values = np.array([look[role][index] for *_, look in measured])
            figures[f"{role}.{unit}"] = round(float(np.median(values)), 1)
            figures[f"{role}.rise_{unit}"] = round(_fit(at, values) * float(at[-1] - at[0]), 2)
            if unit == "mb":
                early, late = (
                    _fit(*part) * 1e3 for part in zip(*(np.array_split(v, 2) for v in (studies, values)), strict=True)
                )
                figures |= {f"{role}.early_kb_per_study": round(early, 2), f"{role}.late_kb_per_study": round(late, 2)}
    half = len(sizes) // 2
    grown, sent = sizes[-1][1] - sizes[half][1], sizes[-1][0] - sizes[half][0]
    figures["ledger_kb_per_study"] = round(grown / max(sent, 1) / 1e3, 2)
    figures["ledger_mb"] = round(sizes[-1][1] / 1e6, 2)
    return figures


def _fit(at, values):
    """Rise of the straight line through `values`, per unit of `at`."""
    return float(np.polyfit(at, values, 1)[0])


def _make_curve(looks):
    """Means of a hundredth of the time each: what to draw where a role rises."""
    parts = np.array_split(np.arange(len(looks)), min(100, len(looks)))
    return [
        {"second": round(looks[part[-1]][0]), "studies": looks[part[-1]][1]}
        | {role: round(float(np.mean([looks[n][2][role][0] for n in part])), 2) for role in ROLES}
        for part in parts
    ]


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    table = Table(title=f"{figures['studies']} studies in {done['minutes']:g} minutes", title_justify="left")
    for name in ("role", "MB", "rises by", "kB per study, earlier", "later", "descriptors", "rises by"):
        table.add_column(name, justify="left" if name == "role" else "right")
    for role in ROLES:
        row = (figures[f"{role}.{unit}"] for unit in UNITS)
        table.add_row(role, *(to_number(value) for value in row))
    console.print(table)
    console.print(
        f"ledger: {figures['ledger_mb']} MB, {figures['ledger_kb_per_study']} kB per study in the second half"
    )
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())
