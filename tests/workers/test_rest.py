"""Memory that is freed stays for the next job, and goes back when none comes."""

import subprocess
import sys

import pytest

from workers import idle
from workers.idle import REST_S, Presence

SCRIPT = """
import sys
from node.heap import give_back, keep_large
from workers.memory import find_resident_mb
keep_large()
import numpy as np
before = find_resident_mb()
np.ones(256 << 20, np.uint8).sum()
kept = find_resident_mb() - before
give_back()
print(kept, find_resident_mb() - before)
"""


class Quiet:
    """A ledger that nobody reads."""

    def put_worker(self, worker):
        """Nothing is kept."""

    def remove_worker(self, name):
        """Nothing was kept."""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told")
def test_a_child_keeps_what_is_freed_until_it_is_told_to_give_it_back():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    kept, left = map(float, said.split())
    assert kept > 200
    assert left < 50


def test_a_child_without_a_job_for_long_gives_back_once(monkeypatch):
    clock, given = [1000.0], []
    monkeypatch.setattr(idle.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(idle, "give_back", lambda: given.append(clock[0]))
    presence = Presence(Quiet(), "w", ["cpu"], "cpu", list)

    def wait(seconds):
        clock[0] += seconds
        presence._rest()
        return len(given)

    assert wait(10 * REST_S) == 0  # nothing was done yet
    presence.take("0" * 32, 5.0)
    assert wait(2 * REST_S) == 0
    presence.release()
    assert wait(REST_S - 1) == 0
    presence.take("1" * 32, 5.0)
    presence.release()
    assert wait(REST_S - 1) == 0
    assert wait(2) == 1
    assert wait(10 * REST_S) == 1
