"""Opening hours: by the clock on the wall, over midnight, on some days."""

import time
from datetime import datetime

import pytest
from pydantic import ValidationError

from node.inbound.schedule import find_opening
from node.sections import Schedule

NIGHT = {"from": "20:00", "to": "06:00"}


def find(hours, *moment):
    """The opening for a job of that moment, as day and hour; None for at once."""
    opening = find_opening(Schedule.model_validate(hours), datetime(*moment).timestamp())
    return datetime.fromtimestamp(opening) if opening else None


def test_without_a_schedule_a_job_may_start_at_once():
    assert find_opening(None, time.time()) == 0.0


@pytest.mark.parametrize("hour", [20, 23, 0, 5])
def test_within_the_hours_it_starts_at_once(hour):
    assert find(NIGHT, 2024, 3, 13, hour, 30) is None


@pytest.mark.parametrize("hour", [6, 12, 19])
def test_outside_it_waits_until_they_open(hour):
    assert find(NIGHT, 2024, 3, 13, hour) == datetime(2024, 3, 13, 20)


def test_hours_of_one_day_close_before_midnight():
    day = {"from": "08:00", "to": "18:00"}
    assert find(day, 2024, 3, 13, 9) is None
    assert find(day, 2024, 3, 13, 18) == datetime(2024, 3, 14, 8)


def test_the_hours_after_midnight_belong_to_the_day_on_which_they_opened():
    weekend = NIGHT | {"days": ["fri", "sat"]}
    assert find(weekend, 2024, 3, 17, 5) is None  # Sunday, of Saturday's night
    assert find(weekend, 2024, 3, 17, 21) == datetime(2024, 3, 22, 20)  # Sunday evening: next Friday


def test_one_day_a_week_is_found_from_the_day_after():
    assert find({"from": "01:00", "to": "02:00", "days": ["mon"]}, 2024, 3, 11, 3) == datetime(2024, 3, 18, 1)


def test_a_clock_that_is_set_forward_still_opens_at_the_hour_on_the_wall(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert find(NIGHT, 2024, 3, 31, 1) is None
        assert find(NIGHT, 2024, 3, 31, 12) == datetime(2024, 3, 31, 20)
        opening = find_opening(Schedule.model_validate(NIGHT), datetime(2024, 3, 31, 12).timestamp())
        assert time.strftime("%H:%M %Z", time.localtime(opening)) == "20:00 CEST"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "hours", [{"from": "20:00", "to": "20:00"}, {"from": "20:00"}, NIGHT | {"days": []}, NIGHT | {"days": ["someday"]}]
)
def test_hours_that_are_none_are_refused(hours):
    with pytest.raises(ValidationError):
        Schedule.model_validate(hours)
