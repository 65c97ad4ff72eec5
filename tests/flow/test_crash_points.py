"""A crash before every single write between receive and confirm, and a restart: one result set, and nothing lost.

Some sixty writes make up the chain of a study of five images. Every STRIDE-th is tried; WETREAD_CRASH_STRIDE=1 tries
them all (some four minutes).
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.flow.storm import install_plugin

ROOT = Path(__file__).parents[2]
STRIDE = int(os.environ.get("WETREAD_CRASH_STRIDE", "6"))
MOST = 400
LANES = 2
"""Runs at a time: most of a run is waiting for leases and quiet."""
AFTER_CLOSE = ("mark_rung", "outbox.py", "move_job", "move_delivery")
STATIONS = ("spool.py:keep", "recorder.py", "enqueue.py", "claim_next", *AFTER_CLOSE)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of the study for each crash point, in the order of the points."""
    folder = tmp_path_factory.mktemp("crashes")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join((str(ROOT), install_plugin(folder / "plugin"))),
        "THRESHOLD_SECONDS": str(folder / "no-wait"),
    }

    def run(lane):
        command = [sys.executable, "-m", "tests.flow.crash_nursery", str(folder / f"lane-{lane}")]
        command += [str(word) for word in (1 + lane * STRIDE, LANES * STRIDE, MOST)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(LANES) as pool:
        found = sorted((one for lane in pool.map(run, range(LANES)) for one in lane), key=lambda one: one["n"])
    return found


def test_the_chain_is_crashed_from_its_first_write_to_its_last(outcomes):
    crashed = [one for one in outcomes if one["crashed_at"]]
    assert len(crashed) >= 48 // STRIDE
    assert len(crashed) < len(outcomes), "it never got to the end"
    seen = " ".join(one["crashed_at"] for one in crashed)
    if STRIDE == 1:
        assert [station for station in STATIONS if station not in seen] == []


def test_whatever_write_a_crash_came_before_every_image_answered_for_is_kept(outcomes):
    assert [one for one in outcomes if one["missing_images"] or one["sent"]] == []


def test_whatever_write_a_crash_came_before_the_study_ends_in_one_result_set_at_the_destination(outcomes):
    for one in outcomes:
        assert one["code"] == 0, one
        assert one["states"][0] == "CONFIRMED", one
        assert one["results"] == ["SEG", "SR"], one
        assert one["strangers"] == [], one


def test_once_a_study_has_its_job_it_makes_no_other_whatever_crashes(outcomes):
    later = [one for one in outcomes if not one["crashed_at"] or any(word in one["crashed_at"] for word in AFTER_CLOSE)]
    assert later
    assert [one for one in later if one["states"] != ["CONFIRMED"] or one["older_results"]] == []
