"""When a route's jobs may start: opening hours by the clock of this machine."""

from datetime import date, datetime, timedelta
from typing import get_args

from node.sections import Day, Schedule

DAYS = get_args(Day)


def find_opening(schedule: Schedule | None, at: float) -> float:
    """When a job that is made at `at` may start (both seconds since the epoch): 0 for at once.

    Hours that cross midnight belong to the day on which they open. Where clocks change, the hours on the clock count.
    """
    if schedule is None:
        return 0.0
    now = datetime.fromtimestamp(at)  # naive on purpose: the clock on the wall
    for days in range(-1, 8):
        day = now.date() + timedelta(days)
        if DAYS[day.weekday()] not in schedule.days:
            continue
        opens, closes = _find_hours(schedule, day)
        if opens <= now < closes:
            return 0.0
        if opens > now:
            return opens.timestamp()
    raise ValueError("a schedule without days")  # the section refuses it


def _find_hours(schedule: Schedule, day: date) -> tuple[datetime, datetime]:
    opens = datetime.combine(day, schedule.opens)
    closes = datetime.combine(day, schedule.closes)
    return opens, closes if schedule.closes > schedule.opens else closes + timedelta(days=1)
