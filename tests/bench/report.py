"""The results as tables for a terminal."""

from receivers import KINDS
from rich.table import Table
from scenarios import SCENARIOS

COLUMNS = {
    "images_per_s": "images/s",
    "mb_per_s": "MB/s",
    "cpu_ms": "CPU ms/image",
    "cpu_percent": "CPU % of a core",
    "store_ms_p50": "store ms p50",
    "store_ms_p99": "p99",
    "associate_ms_p50": "associate ms p50",
    "refused": "refused",
    "lost": "lost",
    "peak_mb": "peak MB",
}


def read_rows(done, scenario):
    """[(associations, receiver, {quantity: value})] of one scenario, in the order measured."""
    rows = {}
    for figure in done["figures"]:
        name, associations, receiver, quantity = figure["name"].split(".")
        if name == scenario.name:
            rows.setdefault((int(associations), receiver), {})[quantity] = figure["value"]
    order = list(scenario.receivers)
    return [
        (associations, receiver, numbers)
        for (associations, receiver), numbers in sorted(
            rows.items(), key=lambda row: (row[0][0], order.index(row[0][1]))
        )
    ]


def pick_columns(scenario, rows):
    """The quantities that say something here."""
    there = {quantity for _, _, numbers in rows for quantity in numbers}
    hidden = {"images_per_s"} if scenario.kind == "frames" else {"mb_per_s"}
    return [quantity for quantity in COLUMNS if quantity in there - hidden]


def find_rate(scenario):
    """The quantity whose ratio is of interest."""
    if scenario.name == "idle":
        return "cpu_percent"
    return "mb_per_s" if scenario.kind == "frames" else "images_per_s"


def to_ratio(scenario, rows, associations, numbers):
    """How many times as fast Wetread is as the receiver of `numbers`, as text."""
    rate = find_rate(scenario)
    own = next((n for a, receiver, n in rows if receiver == "wetread" and a == associations), {})
    if scenario.name == "idle" or not own.get(rate) or not numbers.get(rate):
        return ""
    return f"{own[rate] / numbers[rate]:.2f}"


def to_number(value):
    """Three digits are all that a measurement is worth."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def make_tables(done):
    """A rich table for each scenario that was measured."""
    for scenario in SCENARIOS:
        rows = read_rows(done, scenario)
        if not rows:
            continue
        columns = pick_columns(scenario, rows)
        table = Table(title=scenario.title, title_justify="left")
        table.add_column("assoc.", justify="right")
        table.add_column("receiver")
        for quantity in columns:
            table.add_column(COLUMNS[quantity], justify="right")
        table.add_column("Wetread is", justify="right")
        for associations, receiver, numbers in rows:
            ratio = to_ratio(scenario, rows, associations, numbers)
            cells = [to_number(numbers.get(quantity)) for quantity in columns]
            table.add_row(str(associations), KINDS[receiver].title, *cells, f"{ratio} x" if ratio else "")
        yield table


def make_goal_table(verdicts):
    """A rich table of the goals."""
    table = Table(title="Goals", title_justify="left")
    for name in ("goal", "measured", "wanted", ""):
        table.add_column(name, justify="left" if name in {"goal", ""} else "right")
    for verdict in verdicts:
        table.add_row(
            verdict["name"], to_number(verdict["value"]), to_bound(verdict), f"[{color(verdict)}]{to_word(verdict)}"
        )
    return table


def to_bound(verdict):
    """The goal with its direction."""
    return f"{'≤' if verdict['at_most'] else '≥'} {verdict['goal']:g}"


def to_word(verdict):
    """met, missed, or, for a moonshot, not reached."""
    if verdict["met"]:
        return "met"
    return "not reached (moonshot)" if verdict["moonshot"] else "missed"


def color(verdict):
    """Of the word."""
    if verdict["met"]:
        return "green"
    return "yellow" if verdict["moonshot"] else "red"


def to_line(numbers):
    """One measurement in a few words."""
    shown = [name for name in ("images_per_s", "mb_per_s", "cpu_ms", "cpu_percent", "peak_mb") if name in numbers]
    words = [f"{to_number(numbers[name])} {COLUMNS[name]}" for name in shown]
    words += [f"{numbers[name]} {name}" for name in ("refused", "lost") if numbers.get(name)]
    return ", ".join(words)
