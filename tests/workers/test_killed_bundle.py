"""A bundle whose process is killed, or hangs, is tried once more in smaller windows, then fails by its reason."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from node.model.job import State
from pipelines.bundles import model as model_module
from pipelines.bundles.install import add_bundle
from pipelines.terms import Allowance, get_shelf, use_shelf
from tests.jobs import JOB
from tests.pipelines.bundles.made import make_bundle
from tests.series import make_series
from workers import hands as hands_module

SCRIPT = """
import signal
from monai.inferers import SlidingWindowInferer
class Inferer(SlidingWindowInferer):
    def __call__(self, image, network):
        if max(self.roi_size) > 32:
            signal.raise_signal(signal.SIGKILL)
        return super().__call__(image, network)
"""
INFERER = {"_target_": "scripts.mine.Inferer", "roi_size": [64, 64, 64], "sw_batch_size": 4}
CHILD = """
import os, sys, time
sys.stdout.buffer.write(b'{"words": {"ready": true}, "arrays": {}}\\n')
sys.stdout.flush()
sys.stdin.buffer.readline()
{end}
"""
ENDS = {"OutOfTime": "time.sleep(600)", "OutOfMemory": "os.kill(os.getpid(), 9)"}
OURS = replace(JOB, pipeline="tiny", deliver=(), series_uids=(), created_at=time.time())


@pytest.fixture
def bundled(node, tmp_path):
    """The node with a bundle `tiny` that kills its own process while its windows are large."""
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, edit=lambda config: config.update(inferer=INFERER))
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "__init__.py").write_text("")
    (bundle / "scripts" / "mine.py").write_text(SCRIPT)
    before = get_shelf()
    use_shelf(node.settings.shelf, {"tiny": Allowance(code=True)})
    add_bundle(bundle, node.settings.shelf, "tiny", trusted=True)
    node.keep(make_series((4, 16, 18), StudyInstanceUID=OURS.study_uid))
    yield node
    use_shelf(before.folder, before.allowances)


def test_the_second_time_it_reads_smaller_windows_and_the_report_says_so(bundled):
    (job,) = bundled.run(OURS)
    reason = bundled.ledger.find_history(job.id)[-1].text
    assert (job.state, reason[:37]) == (State.QUEUED, "OutOfMemory: its process was killed, ")
    assert bundled.hands.answer("gpu") == "encoded"
    texts = [str(e.value) for e in bundled.read(job, "SR").iterall() if e.keyword == "TextValue"]
    assert any("smaller windows" in text for text in texts)
    assert bundled.hands._careful.names == []


@pytest.mark.parametrize("name", ENDS)
def test_the_second_time_is_the_last(name, bundled, monkeypatch):
    popen, asked = subprocess.Popen, []

    def start(command, **options):
        asked.append(command[-1])
        return popen([sys.executable, "-c", CHILD.replace("{end}", ENDS[name])], **options)

    monkeypatch.setattr(model_module.subprocess, "Popen", start)
    monkeypatch.setattr(hands_module, "_find_limit", lambda *_: 1.0 if name == "OutOfTime" else 60.0)
    (job,) = bundled.run(OURS)
    assert job.state == State.QUEUED
    bundled.hands.answer("gpu")
    job = bundled.ledger.get_job(OURS.id)
    assert (job.state, job.attempt, job.reason.split(":")[0]) == (State.FAILED, 2, name)
    assert asked == ["whole", "sparing"]
    assert bundled.hands.answer("gpu") == "nothing to claim"
