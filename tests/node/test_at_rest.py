"""A node at rest asks its databases next to nothing, and is awake at once."""

import time
from contextlib import closing
from threading import Event, Lock, Thread

import pytest
from sqlalchemy import Engine, event

from node import rounds
from node.config import load_settings
from node.ledger import SqlLedger
from node.model.job import State
from node.wiring import run_keeping
from tests.jobs import JOB, add_study
from tests.ports import free_port
from tests.waiting import wait_until

WINDOW = 1.0
MOST = 30
"""Queries in a second at rest, of a node with two peers: 150 where each loop looks at its tables at each turn."""

TOML = """
[node]
home = "{home}"
[queue]
url = "memory://"
[completeness]
quiet = "PT0.3S"
[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:{port}"
count_by = "query"
[peers.archive]
ae_title = "ARCHIVE"
address = "127.0.0.1:{port}"
workitems = true
[[routes]]
name = "chest"
when = {{ Modality = "CT" }}
pipeline = "lung-seg"
deliver = ["pacs"]
"""


class Counter:
    """The queries of this process, as they are made."""

    def __init__(self):
        self.number, self._lock = 0, Lock()

    def __call__(self, _connection, _cursor, statement, *_):
        with self._lock:
            self.number += not statement.startswith("BEGIN")


@pytest.fixture
def queries():
    counter = Counter()
    event.listen(Engine, "before_cursor_execute", counter)
    yield counter
    event.remove(Engine, "before_cursor_execute", counter)


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML.format(home=tmp_path / "home", port=free_port()))
    return load_settings(path, {})


@pytest.fixture
def keep(settings):
    """keep() runs the role `keep` until the test ends."""
    stop = Event()
    thread = Thread(target=run_keeping, args=(settings, stop))
    yield thread.start
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def ledger(settings):
    with closing(SqlLedger(settings.ledger_url)) as ledger:
        yield ledger


def count_in_a_second(queries):
    before, began = queries.number, time.monotonic()
    time.sleep(WINDOW)
    return (queries.number - before) / (time.monotonic() - began)


def wait_for_rest(queries):
    assert wait_until(lambda: queries.number > 50)  # it has started
    assert wait_until(lambda: count_in_a_second(queries) == 0)


def test_at_rest_few_queries_are_made(keep, queries):
    keep()
    assert wait_until(lambda: queries.number > 50)  # it has started
    assert wait_until(lambda: count_in_a_second(queries) <= MOST)
    before = queries.number
    assert wait_until(lambda: queries.number > before)  # and it looks all the same


def test_what_is_written_is_seen_at_once_without_a_turn_of_the_clock(keep, ledger, queries, monkeypatch):
    monkeypatch.setattr(rounds, "REST", 1e6)
    keep()
    wait_for_rest(queries)
    ledger.add_job(JOB, "match", "made")
    job = ledger.claim_job(JOB.id, "worker", time.time() + 100, time.time())
    ledger.move_job(job, State.ENCODED, time.time(), "encode")
    assert wait_until(lambda: ledger.get_job(JOB.id).state == State.CONFIRMED)


def test_the_quiet_period_of_a_study_ends_by_the_clock_alone(keep, ledger, queries, monkeypatch):
    monkeypatch.setattr(rounds, "REST", 1e6)
    keep()
    wait_for_rest(queries)
    add_study(ledger, "1.2.4", at=time.time())
    assert wait_until(lambda: not ledger.find_studies("RECEIVING"))
