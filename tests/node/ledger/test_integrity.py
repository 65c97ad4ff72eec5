"""A ledger with a damaged page is named at the start, never built on; and a copy is a ledger."""

from contextlib import closing

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import load_settings
from node.doctor import examine
from node.errors import DamagedLedger
from node.ledger import SqlLedger
from node.ledger.integrity import check_ledger, copy_ledger, find_damage
from node.supervisor.supervisor import Supervisor
from tests.jobs import JOB, add_job, add_study
from tests.ports import free_port

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    """A closed ledger of some hundred studies."""
    place = tmp_path / "home" / "ledger.sqlite"
    with closing(SqlLedger(f"sqlite:///{place}")) as ledger:
        add_job(ledger)
        for number in range(100):
            add_study(ledger, f"1.2.4.{number}")
    return place


def damage(path, number):
    """Page `number` filled with what SQLite never wrote."""
    with path.open("rb+") as file:
        file.seek(number * PAGE)
        file.write(b"\xa5" * PAGE)


def url(path):
    return f"sqlite:///{path}"


def test_a_sound_ledger_one_that_is_not_there_and_one_of_another_kind_are_let_pass(path, tmp_path):
    for one in (url(path), url(tmp_path / "none.sqlite"), "postgresql://db/wetread"):
        assert find_damage(one) == ""
        check_ledger(one)
    assert not (tmp_path / "none.sqlite").exists()


def test_a_damaged_page_is_found_wherever_it_lies(path):
    whole = path.read_bytes()
    pages = len(whole) // PAGE
    assert pages > 20
    for number in range(0, pages, 3):
        path.write_bytes(whole)
        damage(path, number)
        assert find_damage(url(path)), f"page {number} of {pages}"
        path.write_bytes(whole)


def test_a_ledger_that_was_cut_off_is_damaged(path):
    path.write_bytes(path.read_bytes()[: -3 * PAGE])
    with pytest.raises(DamagedLedger, match="is damaged"):
        check_ledger(url(path))


def test_up_refuses_to_start_on_a_damaged_ledger_and_says_what_to_do(path, tmp_path):
    damage(path, 7)
    config = tmp_path / "wetread.toml"
    door, web = (f"127.0.0.1:{free_port()}" for _ in range(2))
    config.write_text(f'[node]\nlisten = "{door}"\nhome = "{path.parent}"\n[web]\nlisten = "{web}"\n')
    with pytest.raises(DamagedLedger, match=r"ledger\.sqlite is damaged: .*set the file aside"):
        Supervisor(load_settings(config, {}))
    assert not (path.parent / "up.lock").exists()


def test_the_doctor_names_a_damaged_page(path, tmp_path):
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{path.parent}"\n')
    settings = load_settings(config, {})
    with closing(SqlLedger(settings.ledger_url)) as ledger:
        damage(path, 7)
        found = {check.what: check for check, _ in zip(examine(settings, ledger), range(5), strict=False)}
    assert not found["ledger's pages"].well
    assert "set the file aside" in found["ledger's pages"].seen


def test_a_copy_made_while_others_write_is_a_whole_ledger(path, tmp_path):
    copy = tmp_path / "copy.sqlite"
    with closing(SqlLedger(url(path))) as ledger:
        add_study(ledger, "1.2.5")
        copy_ledger(url(path), copy)
        add_study(ledger, "1.2.6")
    assert find_damage(url(copy)) == ""
    with closing(SqlLedger(url(copy))) as ledger:
        assert ledger.get_job(JOB.id).study_uid == JOB.study_uid
        assert {"1.2.5"} == {study.study_uid for study in ledger.find_studies()} & {"1.2.5", "1.2.6"}
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.endswith(("-wal", "-shm"))) == [
        "copy.sqlite",
        "home",
    ]


def test_a_damaged_ledger_is_not_copied_over_a_good_one(path, tmp_path):
    copy = tmp_path / "copy.sqlite"
    copy_ledger(url(path), copy)
    before = copy.read_bytes()
    damage(path, 7)
    with pytest.raises(DamagedLedger):
        copy_ledger(url(path), copy)
    assert copy.read_bytes() == before


@pytest.mark.parametrize("command", ["jobs", "doctor"])
def test_every_command_says_so_of_a_ledger_that_cannot_be_opened(path, tmp_path, command):
    damage(path, 0)
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{path.parent}"\n')
    done = CliRunner().invoke(app, [command, "--config", str(config)])
    assert isinstance(done.exception, DamagedLedger)
    assert "set the file aside" in str(done.exception)
