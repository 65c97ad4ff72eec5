"""`wetread backup` copies ledger, worklist and orders of a node at work, and a home made of the copies is that node."""

import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from threading import Event, Thread

import pytest
from typer.testing import CliRunner

from node.backup import back_up
from node.cli import app
from node.config import load_settings
from node.errors import DamagedLedger
from node.ledger import SqlLedger
from node.model.job import State
from node.orders.book import OrderBook
from node.worklist import Worklist
from node.worklist.mirror import Mirror
from tests.jobs import JOB, add_job
from tests.node.dicom.test_request import ORDER
from tests.workitems import make_workitem

NAMES = ["ledger.sqlite", "orders.sqlite", "worklist.sqlite"]
UID = "1.2.826.1"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    return path


@pytest.fixture
def settings(config):
    """Of a node that holds a job, the order that it answers, and a workitem of somebody else; all files are open."""
    settings = load_settings(config, {})
    with closing(SqlLedger(settings.ledger_url)) as ledger, closing(Worklist(settings.node.home)) as worklist:
        add_job(ledger)
        worklist.create(make_workitem(), 1.0, UID)
        OrderBook(settings.order_book).keep(ORDER)
        OrderBook(settings.order_book).assign(JOB.id, ORDER, 5.0)
        yield settings


def run(config, folder):
    return CliRunner().invoke(app, ["backup", str(folder), "--config", str(config)])


def test_a_home_made_of_the_copies_holds_the_jobs_the_orders_and_the_worklist(settings, config, tmp_path):
    done = run(config, tmp_path / "backup")
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in (tmp_path / "backup").iterdir()) == NAMES
    home = tmp_path / "restored"
    shutil.copytree(tmp_path / "backup", home)
    with closing(SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}")) as ledger:
        assert ledger.get_job(JOB.id).state == State.QUEUED
    book = OrderBook(home / "orders.sqlite")
    assert book.find(ORDER.accession_number) == book.find_assigned(JOB.id) == ORDER
    with closing(Worklist(home)) as worklist:
        assert worklist.get(UID).uid == UID


def test_only_the_node_s_user_reads_a_backup(settings, tmp_path):
    for copy in back_up(settings, tmp_path / "backup"):
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700


def test_the_second_backup_into_a_folder_replaces_the_first(settings, tmp_path):
    back_up(settings, tmp_path / "backup")
    OrderBook(settings.order_book).keep(replace(ORDER, accession_number="A-7"))
    back_up(settings, tmp_path / "backup")
    assert OrderBook(tmp_path / "backup" / "orders.sqlite").find("A-7") is not None


def test_what_a_node_never_had_is_not_copied(config, tmp_path):
    settings = load_settings(config, {})
    SqlLedger(settings.ledger_url).close()
    assert [copy.name for copy in back_up(settings, tmp_path / "backup")] == ["ledger.sqlite"]
    assert [file.name for file in settings.node.home.iterdir()] == ["ledger.sqlite"]


def test_copies_made_while_orders_and_jobs_come_never_hold_a_job_without_its_order(settings, tmp_path):
    """The order is assigned before the job is written: so must it be in every backup."""
    stop, made = Event(), []
    ledger, book = SqlLedger(settings.ledger_url), OrderBook(settings.order_book)

    def work():
        while not stop.is_set():
            job = replace(JOB, id=f"{len(made):032x}")
            book.assign(job.id, ORDER, 5.0)
            ledger.add_job(job, "match", "made")
            made.append(job.id)

    thread = Thread(target=work)
    thread.start()
    try:
        for turn in range(5):
            back_up(settings, tmp_path / f"{turn}")
    finally:
        stop.set()
        thread.join()
        ledger.close()
    for turn in range(5):
        copied = OrderBook(tmp_path / f"{turn}" / "orders.sqlite")
        with closing(SqlLedger(f"sqlite:///{tmp_path / f'{turn}' / 'ledger.sqlite'}")) as restored:
            for job in restored.find_jobs():
                assert copied.find_assigned(job.id) == ORDER


def test_a_restored_worklist_follows_what_it_had_not_seen_of_the_ledger(settings, tmp_path, monkeypatch):
    """A job that is made while the backup runs is in the later of the copies alone: the worklist reads it again."""
    copied = back_up.__globals__["copy_ledger"]

    def copy_later(url, target):
        with closing(SqlLedger(url)) as ledger, closing(Worklist(settings.node.home)) as worklist:
            mirror = Mirror(settings, ledger, worklist)
            mirror.tick(10.0)
            ledger.move_job(ledger.get_job(JOB.id), State.CANCELED, 11.0, "cancel")
            mirror.tick(12.0)
        return copied(url, target)

    with closing(SqlLedger(settings.ledger_url)) as ledger, closing(Worklist(settings.node.home)) as worklist:
        Mirror(settings, ledger, worklist).tick(9.0)
    monkeypatch.setitem(back_up.__globals__, "copy_ledger", copy_later)
    back_up(settings, tmp_path / "backup")
    with (
        closing(SqlLedger(f"sqlite:///{tmp_path / 'backup' / 'ledger.sqlite'}")) as ledger,
        closing(Worklist(tmp_path / "backup")) as worklist,
    ):
        assert worklist.find_bookmark() < ledger.find_newest_change()


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_named_and_an_earlier_copy_of_it_stays(settings, config, tmp_path, name):
    folder = tmp_path / "backup"
    back_up(settings, folder)
    before = (folder / name).read_bytes()
    path = settings.node.home / name
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("rb+") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)
    done = run(config, folder)
    assert isinstance(done.exception, DamagedLedger)
    assert f"{name} is damaged" in str(done.exception)
    assert (folder / name).read_bytes() == before
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("where", ["home", "file"])
def test_a_backup_over_the_home_or_a_file_is_refused(settings, config, tmp_path, where):
    (tmp_path / "file").write_text("a copy of an older version")
    done = run(config, tmp_path / where)
    assert done.exit_code != 0
    assert "no backup was written to" in str(done.exception)
    assert (tmp_path / "file").read_text() == "a copy of an older version"
