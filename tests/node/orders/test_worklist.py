"""A worklist is asked what was ordered: its answer is kept, routes and jobs follow it, and nobody waits for ever."""

import time
from dataclasses import replace

import pytest
from pydantic import ValidationError
from pydicom import Dataset
from pynetdicom import AE, evt

from node.dicom.uids import MODALITY_WORKLIST_FIND, VERIFICATION
from node.dicom.worklist import to_order
from node.errors import OrderRefused
from node.model.expectation import Kind
from node.model.job import Priority
from node.model.study import StudyState
from node.orders.book import OrderBook
from node.outbound import worklist
from node.outbound.worklist import Inquirer, choose_orders
from node.sections import Peer
from pipelines.terms import Code
from tests.node.inbound.desk import STUDY, Desk
from tests.node.orders.servers import SERVERS, TITLE, make_entry, wlmscpfs
from tests.node.outbound.house import deaf
from tests.ports import free_port
from tests.series import make_series

ROUTES = [{"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}]


class Ward(Desk):
    """A desk with a worklist at `port`."""

    def __init__(self, folder, port, routes=ROUTES, **more):
        peers = {"ris": {"ae_title": TITLE, "address": f"127.0.0.1:{port}", "worklist": True}}
        super().__init__(folder, routes, peers, **more)
        self.book = OrderBook(self.settings.order_book)
        self.inquirer = Inquirer("ris", self.settings, self.ledger)

    def bring(self, **changes):
        self.send(make_series((3, 4, 4), StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1", **changes))

    def said(self):
        return next(one for one in self.ledger.find_expectations() if one.kind == Kind.ORDER)

    def route(self):
        """The job of the study, once the worklist was asked."""
        self.inquirer.tick(time.time())
        assert self.judge(11.0).state == StudyState.COMPLETE
        (job,) = self.ledger.find_jobs()
        return job


@pytest.fixture
def make_ward(tmp_path):
    wards = []

    def make(port, **more):
        wards.append(Ward(tmp_path / "ward", port, **more))
        return wards[-1]

    (tmp_path / "ward").mkdir()
    yield make
    for ward in wards:
        ward.close()


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_the_order_of_a_study_is_looked_up_and_its_job_has_its_priority(server, tmp_path, make_ward):
    others = make_entry(AccessionNumber="A-2", RequestedProcedureID="RP2"), make_entry(AccessionNumber="A-11")
    with server(tmp_path, make_entry(), *others) as port:
        ward = make_ward(port)
        ward.bring()
        job = ward.route()
    order = ward.book.find("A-1")
    assert order is not None
    assert (order.source, order.patient_id, order.study_uid) == ("mwl", "P-1", STUDY)
    assert (order.requested_procedure_id, order.requested_procedure_description) == ("RP1", "CT Thorax für Müller")
    assert (order.priority, order.procedure_code) == (Priority.STAT, Code("24627-2", "LN", "CT Chest"))
    assert (order.placer_order_number, order.filler_order_number) == ("PL1", "FI1")
    assert (order.reason, order.referring_physician) == ("Cough", "Müller^Eva")
    assert job.priority == Priority.STAT
    assert ward.book.find_assigned(job.id) == order
    assert ward.book.find("A-2") is None and ward.book.find("A-11") is None


def test_routes_ask_for_what_was_ordered(tmp_path, make_ward):
    when = {"Modality": "CT", "RequestedProcedurePriority": "STAT", "RequestedProcedureDescription": {"like": "thorax"}}
    other = {"Modality": "CT", "RequestedProcedurePriority": "ROUTINE"}
    routes = [ROUTES[0] | {"when": when, "priority": "off-peak"}, ROUTES[0] | {"name": "other", "when": other}]
    with wlmscpfs(tmp_path, make_entry()) as port:
        ward = make_ward(port, routes=routes)
        ward.bring()
        job = ward.route()
    assert job.route == "chest CT"
    assert job.priority == Priority.OFF_PEAK  # the route fixes one


def test_what_a_route_expects_is_waited_for_when_the_order_says_that_it_is_for_it(tmp_path, make_ward):
    when = {"Modality": "CT", "RequestedProcedureDescription": {"like": "thorax"}}
    routes = [ROUTES[0] | {"when": when, "expects": [{"SeriesDescription": {"like": "lung kernel"}}]}]
    with wlmscpfs(tmp_path, make_entry()) as port:
        ward = make_ward(port, routes=routes)
        ward.bring()
        ward.judge(11.0)
        ward.inquirer.tick(time.time())
    assert "expects a series with SeriesDescription like 'lung kernel'" in ward.judge(11.0).waits


def test_an_order_of_another_patient_is_refused_by_name_and_gives_nothing(tmp_path, make_ward):
    routes = [*ROUTES, ROUTES[0] | {"name": "stat", "when": {"RequestedProcedurePriority": "STAT"}}]
    with wlmscpfs(tmp_path, make_entry(PatientID="P-2")) as port:
        ward = make_ward(port, routes=routes)
        ward.bring()
        job = ward.route()
    assert job.notes == ("OrderRefused: the order is of another Patient ID than the images",)
    assert job.priority == Priority.ROUTINE
    assert ward.book.find_assigned(job.id) is None
    assert "P-2" not in str(ward.ledger.find_expectations()) + str(job)


def test_a_worklist_that_knows_nothing_delays_nothing_and_is_asked_again(tmp_path, make_ward):
    with wlmscpfs(tmp_path, make_entry(AccessionNumber="A-2")) as port:
        ward = make_ward(port)
        ward.bring()
        ward.inquirer.tick(time.time())
        said = ward.said()
        assert (said.number, said.answer) == (0, "it knows no order of this accession number")
        ward.inquirer.tick(said.next_at - 0.01)
        assert ward.said().attempts == 1
        ward.inquirer.tick(said.next_at)
        assert ward.said().attempts == 2
        assert ward.route().notes == ()


def test_for_images_without_accession_number_nobody_is_asked(make_ward):
    ward = make_ward(free_port())
    ward.bring(AccessionNumber="")
    assert ward.route().notes == ()
    assert ward.book.find(study_uid=STUDY) is None


def test_a_silent_worklist_is_waited_for_so_long_and_the_study_is_not_lost(make_ward, monkeypatch):
    monkeypatch.setattr(worklist, "PATIENCE", 0.5)
    with deaf() as (port, _):
        ward = make_ward(port, orders={"wait": "PT20S"})
        ward.bring()
        ward.inquirer.tick(time.time())
        assert ward.said().number is None
        assert ward.said().answer.startswith("PeerUnreachable")
        assert ward.judge(11.0).waits == "waits: ris is asked what was ordered"
        assert ward.judge(30.5).state == StudyState.RECEIVING
        study = ward.judge(31.5)
    assert study.state == StudyState.COMPLETE
    assert study.evidence.endswith("without an order: ris did not answer in time")
    assert [job.priority for job in ward.ledger.find_jobs()] == [Priority.ROUTINE]


def test_completeness_comes_first_and_the_wait_begins_with_it(make_ward):
    ward = make_ward(free_port(), orders={"wait": "PT0S"})
    ward.bring()
    assert ward.judge(9.0).waits == ""
    assert ward.judge(11.0).state == StudyState.COMPLETE


@pytest.mark.parametrize(("status", "words"), [(0xA700, "it answers C-FIND with 0xA700"), (None, "it takes no C-FIND")])
def test_a_worklist_that_refuses_is_told_by_its_words(make_ward, status, words):
    entity = AE(TITLE)
    entity.add_supported_context(VERIFICATION)
    if status:
        entity.add_supported_context(MODALITY_WORKLIST_FIND)
    handlers = [(evt.EVT_C_FIND, lambda _: iter([(status, None)]))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        ward = make_ward(server.socket.getsockname()[1])
        ward.bring()
        ward.inquirer.tick(time.time())
        assert ward.said().answer.startswith(f"PeerRefused: {words}")
        assert ward.said().number is None
    finally:
        server.shutdown()


# Of what a worklist answers


def answer(**changes):
    return to_order(make_entry(**changes), 1000.0)


def test_only_what_is_of_the_accession_number_is_taken():
    assert choose_orders([answer(AccessionNumber="A-11"), None], "A-1", STUDY) == []


def test_of_several_procedures_the_one_that_names_the_study_is_taken_else_none():
    other = answer(StudyInstanceUID="1.2.3.9", RequestedProcedureID="RP2")
    assert choose_orders([other, answer()], "A-1", STUDY) == [answer()]
    with pytest.raises(OrderRefused, match="2 procedures"):
        choose_orders([other, answer()], "A-1", "1.2.3.10")
    stranger = answer(PatientID="P-2")  # under the same accession number
    with pytest.raises(OrderRefused, match="several patients"):
        choose_orders([answer(), stranger], "A-1", STUDY)
    steps = [answer(), replace(answer(), at=1001.0)]  # two steps of one procedure
    assert len(choose_orders(steps, "A-1", "1.2.3.10")) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("STAT", "stat"),
        ("HIGH", "stat"),
        ("ROUTINE", "routine"),
        ("MEDIUM", "routine"),
        ("LOW", "off-peak"),
        ("", None),
    ],
)
def test_a_priority_of_the_worklist_is_one_of_the_queue(said, meant):
    assert answer(RequestedProcedurePriority=said).priority == meant


def test_an_answer_of_nothing_is_no_order():
    assert to_order(Dataset(), 1000.0) is None


@pytest.mark.parametrize("key", ["worklist", "availability"])
def test_what_is_spoken_by_dimse_needs_an_address(key):
    with pytest.raises(ValidationError, match=f"{key} = true needs ae_title and address"):
        Peer.model_validate({"dicomweb": "https://pacs.hospital.test/dicom-web", key: True})
