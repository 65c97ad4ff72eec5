"""`wetread workers` as an administrator reads it, on a narrow terminal."""

import json
import re
import time
from dataclasses import replace

from typer.testing import CliRunner

from node.cli import app
from node.config import load_settings
from node.ledger import SqlLedger
from node.model.worker import Worker
from tests.jobs import JOB, add_job

MODELS = ("brain-extract", "lung-seg")


def run(tmp_path, *words):
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    result = CliRunner().invoke(app, ["workers", *words, "--config", str(config)], env={"WETREAD_CONFIG": str(config)})
    assert result.exit_code == 0, result.output
    return result.output


def fill(tmp_path):
    now = time.time()
    (tmp_path / "wetread.toml").write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    ledger = SqlLedger(load_settings(tmp_path / "wetread.toml", {}).ledger_url)
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "host/7", now + 15, now)
    ledger.note_progress(job.id, job.token, 0.4, "run resample")
    busy = Worker("host/7", ("gpu",), "cuda:0", MODELS, 812.0, 2048.0, job.id, now - 900, now, 5.0)
    ledger.put_worker(busy)
    ledger.put_worker(replace(busy, name="host/8", job_id="", started_at=now - 800, seen_at=now - 7300))
    ledger.close()


def test_a_node_without_workers_says_so(tmp_path):
    assert run(tmp_path) == "no worker was seen within a day\n"


def test_each_worker_has_its_memory_its_job_and_how_far_it_is(tmp_path):
    fill(tmp_path)
    shown = " ".join(run(tmp_path).split())
    for words in ("host/7", "cuda:0", "812 MB", JOB.id[:12], "run 40 %", "gone", "2 h ago"):
        assert words in shown
    assert re.search(r"\b\d{1,2} s ago", shown)


def test_programs_get_the_same_as_json(tmp_path):
    fill(tmp_path)
    busy, gone = json.loads(run(tmp_path, "--json"))
    assert (busy["worker"], busy["job_id"], busy["activity"]) == ("host/7", JOB.id, "run 40 % resample")
    assert (busy["lanes"], busy["models"], busy["reserved_mb"]) == (["gpu"], list(MODELS), 2048.0)
    assert (gone["activity"], gone["silent_s"] >= 7300) == ("gone", True)
