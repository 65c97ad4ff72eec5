"""Orders that come when their job waits already: the job moves in the queue, and its history says why."""

import json
import time
from contextlib import contextmanager

import httpx
import pytest
from pydicom import Dataset

from node.inbound.urgency import OrderFollower
from node.model.job import Priority, State
from node.outbound.worklist import Inquirer
from node.worklist import Worklist
from node.worklist.mirror import Mirror
from tests.node.inbound.desk import STUDY, Desk
from tests.node.inbound.test_order_door import Door, verdict
from tests.node.orders.servers import TITLE, make_entry, wlmscpfs, write_entries
from tests.node.web.service import Service
from tests.series import make_series

ROUTES = [{"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}]
HEAD = "MSH|^~\\&|RIS|H|WETREAD|W|20240101120000||{kind}|77|P|2.5\rPID|1||{patient}^^^HOSP\r"
OBR = "OBR|1|PL1|F1|CT^CT chest^L||||||||||||||A-1|||||||||^^^^^{0}\r"
ORDERS = {
    "ORC-7 of ORM": ("ORM^O01", "ORC|XO|PL1|F1||||^^^^^{0}\r" + OBR.format("R")),
    "OBR-27 of ORM": ("ORM^O01", "ORC|XO|PL1|F1\r" + OBR),
    "TQ1-9 of OMI": ("OMI^O23", "ORC|XO|PL1|F1\rTQ1|1||||||||{0}\r" + OBR.format("R") + "IPC|A-1|RP1|1.2.3.1|SPS1\r"),
}


class Ward(Desk):
    """A desk, a door for orders, and who follows them; the study has the accession number A-1."""

    def __init__(self, folder, routes=ROUTES, **sections):
        self.door = Door(folder)
        super().__init__(folder, routes, hl7=self.door.settings.hl7.model_dump(), **sections)
        self.follow()
        self.send(make_series((2, 4, 4), StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1"))
        self.judge(11.0)

    def follow(self):
        self.follower = OrderFollower(self.settings, self.ledger)

    def order(self, kind, text, priority, patient="P-1"):
        message = HEAD.format(kind=kind, patient=patient) + text.format(priority)
        (answer,) = self.door.tell(message.encode())
        assert verdict(answer)[0] == "AA"
        self.follower.tick(time.time())

    @property
    def job(self):
        (job,) = self.ledger.find_jobs()
        return job

    def moves(self):
        return [(e.station, e.text) for e in self.ledger.find_history(self.job.id) if e.text.startswith("priority")]


@pytest.fixture
def make_ward(tmp_path):
    wards = []

    @contextmanager
    def make(**more):
        wards.append(Ward(tmp_path, **more))
        with wards[-1].door.open():
            yield wards[-1]

    yield make
    for ward in wards:
        ward.close()


def test_an_order_message_moves_the_job_that_waits_up_and_down(make_ward):
    with make_ward() as ward:
        for words in (("S", "R", "PRN"), ("ASAP", "MEDIUM", "LOW"), ("T", "C", "PRN")):
            for (kind, text), word, meant in zip(ORDERS.values(), words, Priority, strict=True):
                ward.order(kind, text, word)
                assert ward.job.priority == meant
        assert ward.moves()[:3] == [
            ("orders", "priority routine -> stat: an order message says so"),
            ("orders", "priority stat -> routine: an order message says so"),
            ("orders", "priority routine -> off-peak: an order message says so"),
        ]


def test_what_an_operator_says_stands_until_the_order_says_something_else(make_ward):
    with make_ward() as ward:
        order = ORDERS["ORC-7 of ORM"]
        ward.order(*order, "S")
        ward.ledger.set_priority(ward.job, Priority.OFF_PEAK, time.time())
        ward.order(*order, "S")
        ward.follow()  # after a restart
        ward.follower.tick(time.time())
        assert ward.job.priority == Priority.OFF_PEAK
        ward.order(*order, "R")
        assert ward.job.priority == Priority.ROUTINE
        assert len(ward.moves()) == 3


def test_an_order_moves_neither_a_job_that_runs_nor_another_patient_s_nor_one_whose_route_fixes_it(make_ward):
    fixed = [ROUTES[0] | {"priority": "routine"}]
    order = ORDERS["ORC-7 of ORM"]
    with make_ward() as ward:
        ward.order(*order, "S", patient="P-2")
        ward.order(*ORDERS["TQ1-9 of OMI"], "R")
        ward.order(*order, "LOW", patient="P-2")
        assert ward.job.priority == Priority.ROUTINE
        assert ward.ledger.claim_job(ward.job.id, "w", time.time() + 60, time.time())
        ward.order(*order, "S")
        assert (ward.job.state, ward.job.priority) == (State.CLAIMED, Priority.ROUTINE)
        ward.settings = ward.settings.model_copy(update={"routes": Desk(ward.folder, fixed).settings.routes})
        ward.ledger.move_job(ward.job, State.QUEUED, time.time(), "test")
        ward.follow()
        ward.follower.tick(time.time())
        assert ward.moves() == []


def test_a_worklist_that_says_another_priority_later_moves_the_job(tmp_path, make_ward):
    folder = tmp_path / "ris"
    with wlmscpfs(folder, make_entry(RequestedProcedurePriority="ROUTINE")) as port:
        peers = {"ris": {"ae_title": TITLE, "address": f"127.0.0.1:{port}", "worklist": True}}
        with make_ward(peers=peers, orders={"wait": "PT0S", "again": "PT60S"}) as ward:
            inquirer = Inquirer("ris", ward.settings, ward.ledger)
            now = ward.job.created_at
            inquirer.tick(now + 61)
            first = ward.follower._book.find("A-1")
            write_entries(folder / TITLE, make_entry(RequestedProcedurePriority="HIGH"))
            inquirer.tick(now + 100)
            assert ward.follower._book.find("A-1") == first
            inquirer.tick(now + 122)
            ward.follower.tick(now)
            assert ward.job.priority == Priority.STAT
            assert ward.moves() == [("orders", "priority routine -> stat: the modality worklist says so")]
            # The worklist says the same again and again: what is told otherwise since is newer.
            ward.order(*ORDERS["ORC-7 of ORM"], "R")
            inquirer.tick(now + 190)
            ward.follower.tick(now)
            assert ward.job.priority == Priority.ROUTINE


def test_a_workitem_s_priority_changed_by_ups_rs_moves_the_job_that_waits(tmp_path):
    desk = Desk(tmp_path, ROUTES)
    with Service(tmp_path, node={"home": desk.settings.node.home}) as service:
        desk.send(make_series((2, 4, 4), StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1"))
        desk.judge(11.0)
        mirror = Mirror(desk.settings, desk.ledger, Worklist(desk.settings.node.home))
        mirror.tick(time.time())
        with httpx.Client(base_url=service.url + "/dicom-web", timeout=20) as web:
            (item,) = (Dataset.from_json(one) for one in web.get("/workitems").json())
            for word, meant in (("HIGH", "stat"), ("LOW", "off-peak"), ("MEDIUM", "routine")):
                changes = Dataset()
                changes.ScheduledProcedureStepPriority = word
                body, kind = json.dumps([changes.to_json_dict()]), {"Content-Type": "application/dicom+json"}
                answer = web.post(f"/workitems/{item.SOPInstanceUID}", content=body, headers=kind)
                assert answer.status_code == 200, answer.text
                mirror.tick(time.time())
                (job,) = desk.ledger.find_jobs()
                assert job.priority == meant
    told = [(e.station, e.text) for e in desk.ledger.find_history(job.id) if e.text.startswith("priority")]
    assert told[0] == ("worklist", f"priority routine -> stat: HIGH in workitem {item.SOPInstanceUID}")
    assert len(told) == 3
    desk.close()
