"""`wetread jobs` of a node that has had many: the newest, and how many more there are."""

import json

import pytest
from typer.testing import CliRunner

from node import cli
from node.cli import app
from node.config import Settings
from node.wiring import open_ledger
from tests.jobs import add_job


@pytest.fixture
def ask(tmp_path):
    settings = Settings.model_validate({"node": {"home": tmp_path / "home"}})
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    ledger = open_ledger(settings)
    for number in range(5):
        add_job(ledger, id=f"{number}" * 32, study_uid=f"1.2.{number}", created_at=1000.0 + number)
    ledger.close()
    return lambda *words: CliRunner().invoke(app, ["jobs", *words, "--config", str(config)]).output


def test_the_newest_are_listed_and_the_older_ones_counted(ask):
    shown = ask("--most", "2")
    assert [uid for uid in ("1.2.4", "1.2.3", "1.2.2", "1.2.1", "1.2.0") if uid in shown] == ["1.2.4", "1.2.3"]
    assert "and 3 older" in shown


def test_all_are_listed_at_wish_and_nothing_is_said_to_be_older(ask):
    for shown in (ask("--most", "0"), ask()):
        assert all(f"1.2.{number}" in shown for number in range(5))
        assert "older" not in shown


def test_programs_get_all_unless_they_ask_for_fewer(ask, monkeypatch):
    monkeypatch.setattr(cli, "MOST_ROWS", 2)
    assert "and 3 older" in ask()
    assert len(json.loads(ask("--json"))) == 5
    assert [row["study_uid"] for row in json.loads(ask("--most", "3", "--json"))] == ["1.2.4", "1.2.3", "1.2.2"]
