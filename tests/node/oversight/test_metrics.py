"""What Prometheus is told: by its own reader, and against what the manual lists."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.ledger import SqlLedger
from node.model.job import State
from node.oversight.metrics import render_metrics
from tests.jobs import add_job, add_study

ROOT = Path(__file__).resolve().parents[3]
QUOTED = 'chest "low\\dose"'


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def read(ledger, free=5e9):
    return {family.name: family for family in text_string_to_metric_families(render_metrics(ledger, free))}


def list_values(family):
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_everything_is_counted(ledger):
    add_job(ledger)
    add_job(ledger, id="1" * 32, study_uid="1.2.4", pipeline=QUOTED)
    add_study(ledger, "1.2.5", how="")
    ledger.move_job(ledger.get_job("1" * 32), State.FAILED, 1002.0, "worker")
    told = read(ledger)
    assert list_values(told["wetread_jobs"]) == {("lung-seg", "QUEUED"): 1, (QUOTED, "FAILED"): 1}
    assert list_values(told["wetread_studies"]) == {("RECEIVING",): 1, ("COMPLETE",): 2}
    assert list_values(told["wetread_instances"]) == {(): 3}
    assert list_values(told["wetread_quarantined"]) == {(): 0}
    assert list_values(told["wetread_spool_free_bytes"]) == {(): 5e9}
    assert list_values(told["wetread_workers"]) == {("cpu",): 0, ("gpu",): 0, ("io",): 0}


def test_no_row_is_read_to_be_counted(ledger, monkeypatch):
    add_job(ledger)
    for name in ("find_jobs", "find_studies", "find_deliveries", "find_quarantined"):
        monkeypatch.setattr(ledger, name, lambda *_, **__: pytest.fail("rows were read"))
    assert list_values(read(ledger)["wetread_jobs"]) == {("lung-seg", "QUEUED"): 1}


def test_every_metric_is_explained_here_and_in_the_manual(ledger):
    told = read(ledger)
    assert all(family.documentation for family in told.values())
    manual = (ROOT / "docs/operations.md").read_text("utf-8")
    table = [line for line in manual.splitlines() if line.startswith("| `wetread_")]
    listed = {name.removesuffix("_total") for line in table for name in re.findall(r"`(wetread_\w+)`", line)}
    assert listed == set(told)


def test_the_kind_of_a_counter_is_counter_and_its_name_says_so(ledger):
    assert "# TYPE wetread_door_total counter\n" in render_metrics(ledger, 0.0)
