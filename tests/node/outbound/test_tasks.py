"""A FHIR server has a Task for each job, which says how far it is; read by the models of fhir.resources."""

import json
import time
from contextlib import closing

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.task import Task
from pydantic import ValidationError

from node.config import Settings
from node.model.job import Priority, State
from node.model.message import Subject
from node.orders.book import OrderBook
from node.orders.patients import PatientBook
from node.outbound.telling.teller import Teller
from node.sections import Receiver
from tests.node.outbound.telling_house import Ehr
from tests.node.worklist.ward import ROUTE, Ward


class Clinic(Ward):
    """A ward that tells a FHIR server. now: of the next round; each is a minute later, so that every pause is over."""

    def __init__(self, home, address, **deliver):
        peers = {"pacs": {"ae_title": "MAINPACS", "address": "127.0.0.1:1"}}
        receiver = {"kind": "fhir", "address": address, "task": True, "template": {"assigning_authority": "HOSP"}}
        sections = {"peers": peers, "routes": [ROUTE], "messages": {"ehr": receiver}, "deliver": deliver}
        self.settings = Settings.model_validate({"node": {"home": home}, **sections})
        self.now = time.time()
        self.open()

    def open(self):
        super().open()
        book = OrderBook(self.settings.order_book)
        patients = PatientBook(book)
        self.teller = Teller("ehr", self.settings, self.ledger, book, patients, self.worklist)
        self.teller.tick(self.now)

    def tell(self):
        self.tick()
        self.now += 60
        self.teller.tick(self.now)

    def message(self, job_id):
        return next(one for one in self.ledger.find_messages(job_id) if one.subject == Subject.TASK)


@pytest.fixture
def ehr():
    with Ehr() as server:
        yield server


@pytest.fixture
def clinic(tmp_path, ehr):
    with closing(Clinic(tmp_path / "home", ehr.address)) as one:
        yield one


def read_task(versions):
    """The newest, valid by the models, as they write it."""
    return json.loads(Task.model_validate_json(json.dumps(versions[-1])).model_dump_json())


def find_statuses(ehr):
    """{address: [status of each version]}"""
    return {url: [one["status"] for one in versions] for url, versions in ehr.versions.items()}


def test_a_task_goes_with_its_job_from_requested_to_completed_with_its_results(clinic, ehr):
    job_id = clinic.add_job(tell=("ehr",), priority=Priority.STAT)
    clinic.tell()
    ((url, versions),) = ehr.versions.items()
    task = read_task(versions)
    assert (task["intent"], task["status"], task["priority"]) == ("order", "requested", "stat")
    assert task["identifier"][0]["value"] == f"urn:oid:{clinic.item().SOPInstanceUID}"
    assert task["for"]["identifier"] == {"value": "P-1", "assigner": {"display": "HOSP"}}
    assert task["basedOn"][0]["identifier"]["value"] == "A-1"
    assert task["focus"]["identifier"]["value"] == task["input"][0]["valueReference"]["identifier"]["value"]
    assert task["code"]["coding"][0]["code"] == "lung-seg"
    assert "output" not in task and "executionPeriod" not in task
    for state in (State.CLAIMED, State.ENCODED, State.DELIVERED):
        clinic.move(job_id, state)
        clinic.tell()
        assert read_task(versions)["status"] == "in-progress"
        assert read_task(versions)["businessStatus"]["coding"][0]["code"] == state
    assert "start" in read_task(versions)["executionPeriod"]
    clinic.move(job_id, State.CONFIRMED)
    clinic.tell()
    task = read_task(versions)
    assert task["status"] == "completed"
    assert set(task["executionPeriod"]) == {"start", "end"}
    outputs = [one.get("valueOid") or one["valueReference"]["type"] for one in task["output"]]
    assert sorted(outputs) == ["DiagnosticReport", "ImagingStudy", "urn:oid:2.8.1", "urn:oid:2.9.1"]
    assert [one["status"] for one in versions] == ["requested", *["in-progress"] * 3, "completed"]
    assert len({one["id"] for one in versions}) == 1
    for bundle in ehr.bundles:
        Bundle.model_validate_json(json.dumps(bundle))
        assert bundle["entry"][0]["request"] == {"method": "PUT", "url": url}
    for _ in range(3):  # nothing new is nothing told
        clinic.tell()
    assert len(ehr.bundles) == 5
    assert "Test" not in json.dumps(ehr.bundles)


def test_another_priority_is_told_and_what_is_told_is_how_far_the_job_is_by_now(clinic, ehr):
    job_id = clinic.add_job(tell=("ehr",))
    clinic.tell()
    clinic.ledger.set_priority(clinic.ledger.get_job(job_id), Priority.STAT, time.time())
    clinic.tell()
    (versions,) = ehr.versions.values()
    assert [one["priority"] for one in versions] == ["routine", "stat"]
    for state in (State.CLAIMED, State.ENCODED, State.CONFIRMED):
        clinic.move(job_id, state)
    clinic.tell()
    assert find_statuses(ehr) == {f"Task/{versions[0]['id']}": ["requested", "requested", "completed"]}


def test_a_task_that_was_taken_without_an_answer_or_not_taken_is_put_again_after_a_restart_too(clinic, ehr):
    job_id = clinic.add_job(tell=("ehr",))
    ehr.statuses = [None, 503]
    clinic.tell()
    assert len(ehr.bundles) == 1
    clinic.close()
    clinic.open()
    clinic.tell()
    clinic.tell()
    assert len(ehr.bundles) == 3
    assert ehr.bundles[0] == ehr.bundles[1] == ehr.bundles[2]
    assert len({headers["X-Request-Id"] for headers in ehr.headers}) == 1
    (versions,) = ehr.versions.values()
    assert versions[0] == versions[1]
    clinic.move(job_id, State.CLAIMED)
    ehr.statuses = [503]
    clinic.tell()
    clinic.move(job_id, State.CONFIRMED)  # while it waits to be told that it runs
    clinic.tell()
    clinic.tell()
    assert [one["status"] for one in versions] == ["requested", "requested", "completed"]


def test_a_job_that_fails_and_is_run_again_is_another_task_and_one_that_waits_again_is_in_progress(clinic, ehr):
    job_id = clinic.add_job(tell=("ehr",))
    clinic.move(job_id, State.CLAIMED)
    clinic.move(job_id, State.QUEUED, "WorkerLost: it went")
    clinic.tell()
    clinic.move(job_id, State.FAILED, "MissingSlices: a plane is missing")
    clinic.tell()
    ((first, versions),) = ehr.versions.items()
    task = read_task(versions)
    assert task["status"] == "failed"
    assert [one["code"] for one in task["statusReason"]["coding"]]
    clinic.move(job_id, State.QUEUED)
    clinic.teller.tick(clinic.now)  # before the worklist knows of it
    assert len(ehr.bundles) == 2
    clinic.tell()
    assert find_statuses(ehr)[first] == ["in-progress", "failed"]
    (second,) = set(ehr.versions) - {first}
    clinic.ledger.move_job(clinic.ledger.get_job(job_id), State.CANCELED, time.time(), "cancel")
    clinic.tell()
    assert find_statuses(ehr)[second] == ["requested", "cancelled"]


def test_what_the_server_refuses_is_told_in_the_history_and_the_next_step_is_told_all_the_same(clinic, ehr):
    job_id = clinic.add_job(tell=("ehr",))
    ehr.statuses = [422]
    clinic.tell()
    assert clinic.message(job_id).state == "REFUSED"
    assert "ehr, task: MessageRefused: HTTP 422, business-rule" in [e.text for e in clinic.ledger.find_history(job_id)]
    clinic.move(job_id, State.CLAIMED)
    clinic.tell()
    assert list(find_statuses(ehr).values()) == [["in-progress"]]


def test_only_jobs_whose_route_tells_the_server_are_told_and_only_where_that_is_wanted(tmp_path, ehr):
    with closing(Clinic(tmp_path / "home", ehr.address)) as clinic:
        clinic.add_job()
        clinic.tell()
        assert ehr.bundles == []
    with pytest.raises(ValidationError, match='task and web are of kind "fhir"'):
        Receiver.model_validate({"kind": "hl7", "address": "ris:2575", "task": True})
