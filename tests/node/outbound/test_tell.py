"""Who subscribed to workitems is told of them, in order, though it was away, and though the node was killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepEvent

from node.config import load_settings
from node.ledger import SqlLedger
from node.model.workitem import GLOBAL, PUSH_CLASS, Report
from node.outbound.tell import EventTeller
from node.worklist import Worklist
from tests.ports import free_port
from tests.waiting import wait_until
from tests.workitems import make_performed, make_progress, make_workitem

ROOT = Path(__file__).parents[3]
TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "{home}"
[deliver]
retry_first = "PT0.1S"
retry_longest = "PT0.2S"
answer_wait = "PT10S"
[peers.watcher]
ae_title = "WATCHER"
address = "127.0.0.1:{watcher}"
workitems = true
"""
UID, LOCK = "1.2.826.1", "2.25.11"


class House:
    """A node's worklist and the thread that tells, in a folder."""

    def __init__(self, folder):
        self.config, self.port = folder / "wetread.toml", free_port()
        self.config.write_text(TOML.format(door=free_port(), watcher=self.port, home=folder / "home"))
        self.settings = load_settings(self.config, {})
        self.worklist = Worklist(self.settings.node.home)
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.teller = EventTeller("watcher", self.settings, self.ledger, self.worklist)

    def tell(self):
        """Until nothing waits."""

        def is_told():
            self.teller.tick(time.time())
            return not self.worklist.find_notices("WATCHER")

        assert wait_until(is_told, 30)

    def close(self):
        self.worklist.close()
        self.ledger.close()


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@contextmanager
def watching(port, heard, answer=lambda _event: 0x0000):
    """A watcher that takes events in the role of SCU."""
    entity = AE("WATCHER")
    entity.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)

    def take(event):
        information = event.event_information
        status = answer(event)
        if status is not None:
            uid = str(event.request.AffectedSOPInstanceUID)
            heard.append((uid, event.event_type, str(event.request.AffectedSOPClassUID), information))
        return status if status is not None else 0x0110, None

    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    try:
        yield
    finally:
        server.shutdown()


def live(worklist):
    """The whole life of a workitem."""
    worklist.create(make_workitem(), time.time(), UID)
    worklist.change_state(UID, "IN PROGRESS", LOCK, time.time())
    worklist.update(UID, make_progress("40"), time.time(), LOCK)
    worklist.update(UID, make_performed(), time.time(), LOCK)
    worklist.change_state(UID, "COMPLETED", LOCK, time.time())


def summarize(heard):
    return [
        (kind, str(information.get("ProcedureStepState") or "")) for uid, kind, _, information in heard if uid == UID
    ]


LIFE = [
    (Report.STATE, "SCHEDULED"),
    (Report.ASSIGNED, ""),
    (Report.STATE, "IN PROGRESS"),
    (Report.PROGRESS, ""),
    (Report.STATE, "COMPLETED"),
]


def test_a_watcher_that_was_away_is_told_of_a_whole_life_in_order(house):
    house.worklist.subscribe(GLOBAL, "WATCHER", 1.0)
    live(house.worklist)
    house.teller.tick(time.time())
    assert len(house.worklist.find_notices("WATCHER")) >= 4
    heard = []
    with watching(house.port, heard):
        house.tell()
    told = summarize(heard)
    assert told == [one for one in LIFE if one in told]
    assert [one for one in told if one[0] == Report.STATE] == [one for one in LIFE if one[0] == Report.STATE]
    assert (Report.PROGRESS, "") in told
    assert {sop_class for _, _, sop_class, _ in heard} == {PUSH_CLASS}
    (progress,) = next(i for _, kind, _, i in heard if kind == Report.PROGRESS).ProcedureStepProgressInformationSequence
    assert progress.ProcedureStepProgress == 40


def test_what_the_watcher_cannot_process_now_is_told_again_before_what_came_later(house):
    house.worklist.subscribe(GLOBAL, "WATCHER", 1.0)
    live(house.worklist)
    heard, tries = [], []

    def answer(event):
        tries.append(event.event_type)
        return None if len(tries) in {2, 3} else 0x0000

    with watching(house.port, heard, answer):
        house.tell()
    assert [one for one in summarize(heard) if one[0] == Report.STATE] == [
        one for one in LIFE if one[0] == Report.STATE
    ]
    assert len(tries) == len(heard) + 2


def test_an_event_that_the_watcher_refuses_for_good_holds_up_no_other(house):
    house.worklist.subscribe(GLOBAL, "WATCHER", 1.0)
    live(house.worklist)
    heard = []
    with watching(house.port, heard, lambda event: 0x0113 if event.event_type == Report.PROGRESS else 0x0000):
        house.tell()
    assert summarize(heard)[-1] == (Report.STATE, "COMPLETED")


def test_a_node_killed_between_the_change_and_the_event_tells_all_the_same(house):
    """A process changes a workitem and dies; another tells."""
    house.worklist.subscribe(GLOBAL, "WATCHER", 1.0)
    program = """
        import os, signal, sys, time
        from pathlib import Path
        from node.worklist import Worklist
        from tests.workitems import make_workitem
        worklist = Worklist(Path(sys.argv[1]))
        worklist.create(make_workitem(), time.time(), sys.argv[2])
        worklist.change_state(sys.argv[2], "IN PROGRESS", "2.25.11", time.time())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(house.settings.node.home), UID]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -signal.SIGKILL
    heard = []
    with watching(house.port, heard):
        house.tell()
    assert [one for one in summarize(heard) if one[0] == Report.STATE] == LIFE[:1] + LIFE[2:3]
    assert house.worklist.get(UID).state == "IN PROGRESS"


def test_a_watcher_that_does_not_take_events_costs_nothing_but_waiting(house, caplog):
    house.worklist.subscribe(GLOBAL, "WATCHER", 1.0)
    house.worklist.create(make_workitem(), 1.0, UID)
    entity = AE("WATCHER")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", house.port), block=False)
    house.teller.tick(time.time())
    server.shutdown()
    assert "does not take events of workitems" in caplog.text
    assert house.worklist.find_notices("WATCHER")
    assert "Doe" not in caplog.text
