"""docs/performance.md and docs/performance.svg, written from one run."""

from textwrap import fill

from curve import draw
from receivers import KINDS
from report import COLUMNS, pick_columns, read_rows, to_bound, to_number, to_ratio, to_word
from scenarios import SCENARIOS

CURVES = ("limit", "wetread", "wetread-1", "dcmtk", "orthanc", "pynetdicom-synced")


def write(done, docs):
    """Writes both files into the folder `docs`."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "performance.svg").write_text(draw(_find_curves(done)), "utf-8")
    (docs / "performance.md").write_text("\n".join(_make_page(done)) + "\n", "utf-8")


def _find_curves(done):
    """{title: {associations: images/s}} of CT images to disk; dashed where nothing is synced."""
    curves = {}
    for scenario in SCENARIOS:
        if scenario.name not in {"synced", "many"}:
            continue
        for associations, receiver, numbers in read_rows(done, scenario):
            curves.setdefault(receiver, {})[associations] = numbers["images_per_s"]
    return [
        (KINDS[name].title, KINDS[name].promise == "nothing synced", curves[name]) for name in CURVES if name in curves
    ]


def _make_page(done):
    machine = done["machine"]
    peers = [f"{name} {machine[name]}" for name in ("dcmtk", "orthanc", "pynetdicom") if machine[name]]
    yield "# How fast images come in"
    yield ""
    yield fill(
        "Success (0x0000) from Wetread means that the file is synced under its final name, and that name too. Its row "
        "in the index follows at once; a crash may lose the row, which the next start writes again. Most receivers "
        "promise less by the same status, so each table says what is promised.",
        120,
    )
    yield ""
    yield "![images per second over the number of associations](performance.svg)"
    yield ""
    yield fill(
        f"Measured on {done['date']}: {machine['cores']} vCPU {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['kernel']}, {machine['filesystem']}, Python {machine['python']}; {', '.join(peers)}. Sender and "
        f"receiver share the machine and speak over loopback, one store under way on each association. Medians of "
        f"{done['rounds']} interleaved rounds; of refused, lost and peak memory the worst round. Ratios carry over to "
        "other machines, figures do not. Repeat it with:",
        120,
    )
    yield ""
    yield "```sh"
    yield ".venv/bin/python tests/bench/ingest.py            # --quick takes two minutes"
    yield "```"
    for scenario in SCENARIOS:
        yield from _make_section(done, scenario)
    yield from _make_goals(done)
    yield from _make_losses(done)
    yield from EXPLAINED


def _make_section(done, scenario):
    rows = read_rows(done, scenario)
    if not rows:
        return
    columns = pick_columns(scenario, rows)
    yield from ("", f"## {scenario.title}", "")
    if scenario.name in NOTES:
        yield from (fill(NOTES[scenario.name], 120), "")
    heads = ["associations", "receiver", "0x0000 promises", *(COLUMNS[quantity] for quantity in columns), "Wetread is"]
    yield _row(heads)
    yield _row(["--:", "---", "---", *("--:" for _ in columns), "--:"])
    for associations, receiver, numbers in rows:
        ratio = to_ratio(scenario, rows, associations, numbers)
        kind = KINDS[receiver]
        cells = [to_number(numbers.get(quantity)) for quantity in columns]
        yield _row([str(associations), kind.title, kind.promise, *cells, f"{ratio} ×" if ratio else ""])


def _make_goals(done):
    yield from ("", "## Goals", "", _row(["goal", "measured", "wanted", ""]), _row(["---", "--:", "--:", "---"]))
    for verdict in done["goals"]:
        yield _row([verdict["name"], to_number(verdict["value"]), to_bound(verdict), to_word(verdict)])


def _make_losses(done):
    """Everyone who is faster than we are, whatever he promises."""
    yield from ("", "## Where Wetread loses", "")
    lost = [line for scenario in SCENARIOS for line in _find_faster(done, scenario)]
    yield from lost or ["Nowhere in this run."]
    missed = [verdict["name"] for verdict in done["goals"] if to_word(verdict) == "missed"]
    if missed:
        yield from ("", fill(f"Goals missed: {'; '.join(missed)}.", 120))


def _find_faster(done, scenario):
    """A line for each receiver that is faster at some number of associations, with how many times as fast."""
    rows, faster = read_rows(done, scenario), {}
    for associations, receiver, numbers in rows:
        ratio = float(to_ratio(scenario, rows, associations, numbers) or 1)
        if 0 < ratio < 1 and not receiver.startswith("wetread"):
            faster.setdefault(receiver, []).append(f"{1 / ratio:.2f} × at {associations}")
    for receiver, times in faster.items():
        kind = KINDS[receiver]
        yield f"- {scenario.title}: {kind.title} ({kind.promise}) {', '.join(times)}."


def _row(cells):
    return f"| {' | '.join(cells)} |"


NOTES = {
    "synced": "What a PACS meets. The C receiver writes, renames, syncs file and directory as Wetread does, and "
    "decodes, checks and indexes nothing: it is the limit of this disk and this kernel.",
    "unsynced": "Files go to a memory file system, where a sync costs nothing, so that the protocol alone is compared. "
    "Wetread has no switch to leave the sync out.",
    "storescu": "dcmtk's sender leaves Nagle's algorithm on; with the delayed acknowledgment of an ordinary receiver "
    "it waits again and again. Wetread acknowledges at once. The times include the start of the processes.",
    "storescu-disk": "The same to disk, where a sync is waited for by those who promise it.",
    "many": "All associations open at the same moment. pynetdicom is measured in one round only, with a tenth of the "
    "images.",
    "idle": "Share of one core that a receiver burns for associations that say nothing.",
}
EXPLAINED = """
## How it is measured

- Receivers: Wetread as `wetread listen` with `listen.processes = 4` unless the row says otherwise (the default is one);
  `tests/bench/limit.c`; dcmtk's `storescp --fork +B -pdu 131072` with TCP_NODELAY=1, its fastest mode; Orthanc without
  compression, plugins and HTTP, its sync policy as shipped (the file before success, the index later); both with PDUs
  of 128 KB, the longest that they know, Wetread and the C receiver with 1 MB; pynetdicom's documented handler
  (`tests/bench/store_handler.py`), with and without fsync of file and folder.
- Senders: `tests/bench/sender.c`, or `storescu` where the table says so. Every image is an instance of its own; nobody
  meets a duplicate. The time runs from the first connect to the last release.
- Images are synthetic, with about 90 elements of header. Each receiver first takes four images that are not counted,
  and everything unsynced is written out before the next is measured.
- CPU is user and system time of the whole process tree, until every image is indexed. Peak memory is VmHWM of the
  largest process. Lost are images that were not answered with success, or were and are not on disk with their pixels as
  they were sent (for Wetread: or have no row in the index).
""".splitlines()
