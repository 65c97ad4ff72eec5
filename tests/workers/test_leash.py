"""A job that runs too long, or whose lease is lost, is stopped; one that does not hear it takes its process with it."""

import signal
import subprocess
import sys
import time
from threading import Timer

import pytest

from node.errors import LostLease, OutOfTime
from workers.leash import Leash


def test_what_runs_past_its_limit_is_stopped_by_name():
    start = time.monotonic()
    with pytest.raises(OutOfTime, match="time limit of 0 s"), Leash("job-1", 0.2):
        time.sleep(30)
    assert time.monotonic() - start < 10


def test_a_lost_lease_stops_what_runs():
    with pytest.raises(LostLease, match="job-1"), Leash("job-1", 30.0) as leash:
        Timer(0.1, leash.cut).start()
        time.sleep(30)


def test_nothing_happens_to_what_comes_after():
    with Leash("job-1", 0.2) as leash:
        pass
    leash.cut()
    signal.raise_signal(signal.SIGALRM)
    time.sleep(0.3)


HANGS = """
from workers.leash import Leash
with Leash("job-1", 0.2, 0.5):
    {hang}
print("came back")
"""


def test_what_hears_nothing_ends_with_its_process_and_the_log_says_where():
    hang = "sum(range(10**13))"  # a loop in C that holds the interpreter's lock
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGS.format(hang=hang)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "came back" not in done.stdout
    assert "Timeout" in done.stderr and 'File "<string>", line 4' in done.stderr
    assert time.monotonic() - start < 30
