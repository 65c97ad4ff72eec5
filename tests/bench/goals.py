"""The goals, as a table, and the figures that they are read from.

A figure is named scenario.associations.receiver.quantity, as in synced.4.wetread.images_per_s.
"""

from dataclasses import dataclass

from measure import UNITS
from scenarios import SCENARIOS


@dataclass(frozen=True)
class Goal:
    """figure (divided by another, where one is named) at least, or at most, `goal`.

    A moonshot is reported and fails nobody.
    """

    name: str
    figure: str
    other: str
    goal: float
    at_most: bool = False
    moonshot: bool = False

    def judge(self, figures):
        """What the report says of it; None when it was not measured."""
        if self.figure not in figures or (self.other and not figures.get(self.other)):
            return None
        value = figures[self.figure] / (figures[self.other] if self.other else 1)
        met = value <= self.goal if self.at_most else value >= self.goal
        return {
            "name": self.name,
            "value": round(value, 4),
            "goal": self.goal,
            "at_most": self.at_most,
            "met": met,
            "moonshot": self.moonshot,
        }


def _faster(scenario, associations, peer, factor, label, quantity="images_per_s", moonshot=False):
    own, other = (f"{scenario}.{associations}.{name}.{quantity}" for name in ("wetread", peer))
    return Goal(f"{scenario} x{associations}: Wetread / {label}", own, other, factor, moonshot=moonshot)


def _at_most(scenario, associations, quantity, bound, label):
    return Goal(
        f"{scenario} x{associations}: {label}", f"{scenario}.{associations}.wetread.{quantity}", "", bound, at_most=True
    )


GOALS = (
    *(_faster("synced", n, "limit", 0.8, "C receiver that syncs too") for n in (1, 4, 8)),
    *(_faster("synced", n, "orthanc", 2.5, "Orthanc") for n in (1, 4, 8)),
    *(_faster("synced", n, "pynetdicom-synced", 4 if n == 1 else 8, "pynetdicom + fsync") for n in (1, 4, 8)),
    *(_faster("synced", n, "dcmtk", 0.8, "dcmtk that does not sync", moonshot=True) for n in (1, 4, 8)),
    _at_most("synced", 4, "cpu_ms", 0.6, "ms of CPU per image, index included"),
    *(_faster("unsynced", n, "dcmtk", 0.75, "dcmtk") for n in (1, 4, 8)),
    *(_faster("unsynced", n, "pynetdicom", 9, "pynetdicom") for n in (1, 4, 8)),
    *(_faster("storescu", n, "dcmtk", 5 if n == 1 else 2, "dcmtk") for n in (1, 4)),
    _faster("storescu", 1, "pynetdicom", 5, "pynetdicom"),
    *(_at_most("many", n, "refused", 0, "associations refused") for n in (100, 500)),
    *(_at_most("many", n, "lost", 0, "images lost") for n in (100, 500)),
    _faster("many", 500, "orthanc", 2, "Orthanc"),
    _at_most("idle", 100, "cpu_percent", 2, "% of a core"),
    _faster("frames", 1, "dcmtk", 0.85, "dcmtk", "mb_per_s"),
    _at_most("frames", 1, "peak_mb", 100, "peak MB of a process"),
    _at_most("frames-disk", 1, "peak_mb", 100, "peak MB of a process"),
)


def to_figures(results):
    """{name: value} of {(scenario, associations, receiver): numbers}, in the order of the scenarios."""
    order = [scenario.name for scenario in SCENARIOS]
    return {
        f"{scenario}.{associations}.{receiver}.{quantity}": round(numbers[quantity], 4)
        for (scenario, associations, receiver), numbers in sorted(
            results.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
        for quantity in UNITS
        if quantity in numbers
    }


def judge(figures, goals):
    """Every one of `goals` that was measured."""
    return [verdict for goal in goals if (verdict := goal.judge(figures)) is not None]


def is_met(verdicts):
    """Whether all goals that count are met."""
    return all(verdict["met"] for verdict in verdicts if not verdict["moonshot"])
