"""The conformance statement is what the code says, and the code does what the statement says it asks of others."""

import inspect
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from node import errors
from node.config import Settings
from node.conformance import LABEL_MAP, LIMITS, make_statement, name_uid
from node.dicom.labelmap import encode_labelmap
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.uids import VERIFICATION
from node.ledger import SqlLedger
from node.model.batch import Batch, Ended, Opened
from node.model.commitment import Commitment
from node.model.job import State
from node.outbound.count import Counter
from node.outbound.deliver import Deliverer
from node.outbound.notify import Notifier
from node.outbound.outbox import KINDS, put_objects
from node.outbound.report import Reporter
from node.outbound.worklist import Inquirer
from node.sections import Listen
from tests.jobs import JOB, add_job, make_instance
from tests.results import make_author, make_result, make_stack
from tests.series import make_series

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/conformance.md").read_text("utf-8")


def read_table(heading):
    """Rows of the first table below `heading`, a list of cells each."""
    section = re.split(rf"^#+ {re.escape(heading)}\n", PAGE, flags=re.M)[1]
    table = re.search(r"(?:^\|.*\n)+", section, flags=re.M)[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def make_objects():
    """What a job may leave in the outbox: a segmentation, its report, and a refusal."""
    stack, author = make_stack(make_series()), make_author()
    result = make_result(stack.shape)
    segmentation = encode_segmentation(stack, result, author)
    report = encode_report(stack, result, author, segmentation)
    return [segmentation, report, encode_refusal(stack.headers, author, "MissingSlices", "a plane is missing")]


def test_the_page_is_what_the_module_prints():
    command = [sys.executable, "-m", "node.conformance"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == PAGE, "run `python -m node.conformance > docs/conformance.md`"
    assert printed == make_statement()


def test_every_limit_of_the_door_is_on_the_page_with_its_default():
    keys = [key for key, _ in LIMITS]
    assert sorted(keys) == sorted(set(Listen.model_fields) - {"unknown_callers", "tls"})
    shown = {key.strip("`"): default for key, default, _ in read_table("3.3 Limits")}
    assert shown["max_pdu"] == "1048576"
    assert shown["idle_timeout"] == "60 s"
    assert list(shown) == keys


def test_every_uid_on_the_page_has_a_name():
    for heading in ("Storage classes", "Transfer syntaxes for storage", "Other services", "4.2 Proposed"):
        for name, uid, *_ in read_table(heading):
            assert re.search("[A-Za-z]", name), uid
            assert name == name_uid(uid.strip("`"))


def test_a_class_that_pydicom_does_not_know_yet_is_named_all_the_same():
    assert name_uid("1.2.840.10008.5.1.4.1.1.9.100.2") == "Waveform Acquisition Presentation State Storage"


def test_every_status_that_refuses_an_instance_is_on_the_page():
    shown = {int(status, 16) for status, *_ in read_table("5.1 C-STORE")}
    refusals = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RefusedInstance)
    ]
    assert shown == {0x0000, *(kind.status for kind in refusals)}


def make_everything():
    """An object of each class that a job may send."""
    stack = make_stack(make_series((4, 8, 9)))
    others = [sop_class for sop_class in KINDS if sop_class != LABEL_MAP]
    datasets = make_series((len(others), 4, 4))
    for dataset, sop_class in zip(datasets, others, strict=True):
        dataset.SOPClassUID = sop_class
    return [encode_labelmap(stack, make_result(stack.shape), make_author()), *datasets]


@pytest.fixture
def pacs():
    """(settings of a peer, the association requests that it got): it knows verification alone."""
    asked = []
    entity = AE("PACS")
    entity.add_supported_context(VERIFICATION)
    note = (evt.EVT_REQUESTED, lambda event: asked.append(event.assoc.requestor.primitive))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[note])
    yield {"ae_title": "PACS", "address": f"127.0.0.1:{server.socket.getsockname()[1]}"}, asked
    server.shutdown()


@pytest.fixture
def make_house(tmp_path):
    """Settings with one peer, and their ledger."""
    ledgers = []

    def make(peer):
        settings = Settings.model_validate({"node": {"home": tmp_path}, "peers": {"pacs": peer}})
        ledgers.append(SqlLedger(settings.ledger_url))
        return settings, ledgers[0]

    yield make
    for ledger in ledgers:
        ledger.close()


def check_proposed(request, when):
    """An A-ASSOCIATE-RQ holds the lines of the page that are due `when`, with their roles, and nothing else."""
    rows = [row for row in read_table("4.2 Proposed") if row[4] in {*when, "always"}]
    proposed = [
        (name_uid(context.abstract_syntax), ", ".join(map(name_uid, context.transfer_syntax)))
        for context in request.presentation_context_definition_list
    ]
    assert sorted(proposed) == sorted((name, syntaxes) for name, _, _, syntaxes, _ in rows)
    items = [item for item in request.user_information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    turned = {name_uid(item.sop_class_uid) for item in items if item.scp_role}
    assert turned == {name for name, _, role, _, _ in rows if role == "SCP"}
    assert str(request.implementation_class_uid) in PAGE
    assert request.maximum_length_received == int(re.search(r"acceptor, (\d+) as requestor", PAGE)[1])


def test_a_delivery_of_every_kind_proposes_every_line_of_the_page(pacs, make_house):
    peer, asked = pacs
    settings, ledger = make_house(peer)
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    objects = put_objects(settings.outbox, job.id, make_everything())
    ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
    Deliverer("pacs", settings, ledger).tick(time.time())
    check_proposed(
        asked[0], {row[4] for row in read_table("4.2 Proposed") if re.match("a result is due(?!.*confirm)", row[4])}
    )


@pytest.mark.parametrize("confirm", ["commitment", "query"])
def test_a_delivery_proposes_what_the_page_says(pacs, make_house, confirm):
    peer, asked = pacs
    settings, ledger = make_house(peer | {"confirm": confirm})
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    objects = put_objects(settings.outbox, job.id, make_objects())
    ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
    Deliverer("pacs", settings, ledger).tick(time.time())
    check_proposed(asked[0], {"a result is due", f'a result is due, `confirm = "{confirm}"`'})


def test_a_count_proposes_what_the_page_says(pacs, make_house):
    peer, asked = pacs
    settings, ledger = make_house(peer | {"count_by": "query"})
    opened, ended = Opened("a", "listen-0", "PACS", 1.0), Ended("a", "released", 3.0)
    ledger.record(Batch([opened], [(make_instance(at=2.0), "a")], [ended]))
    Counter("pacs", settings, ledger).tick(time.time())
    check_proposed(asked[0], {'a study is counted, `count_by = "query"`'})


def test_a_question_for_an_order_proposes_what_the_page_says(pacs, make_house):
    peer, asked = pacs
    settings, ledger = make_house(peer | {"worklist": True})
    (image,) = make_series((1, 4, 4), StudyInstanceUID="1.2.3")
    path = settings.spool / "kept" / "1"
    path.parent.mkdir(parents=True)
    image.save_as(path, enforce_file_format=True)
    ledger.record(Batch([], [(make_instance(at=2.0), "")], []))
    Inquirer("pacs", settings, ledger).tick(time.time())
    check_proposed(asked[0], {"a study arrives, `worklist = true`"})


def test_a_notice_of_what_is_available_proposes_what_the_page_says(pacs, make_house):
    peer, asked = pacs
    settings, ledger = make_house(peer | {"availability": True})
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    job = ledger.move_job(job, State.ENCODED, time.time(), "encode")
    ledger.move_job(job, State.DELIVERED, time.time(), "deliver", notify=["pacs"])
    Notifier("pacs", settings, ledger).tick(time.time())
    check_proposed(asked[0], {"results are confirmed, `availability = true`"})


def test_a_report_on_what_we_hold_proposes_what_the_page_says(pacs, make_house):
    peer, asked = pacs
    settings, ledger = make_house(peer)
    ledger.add_commitment(Commitment("1.2.3", "PACS", (("1.2.840.10008.5.1.4.1.1.2", "1.2.4"),), 1.0, 2.0, 0))
    Reporter("pacs", settings, ledger).tick(time.time())
    check_proposed(asked[0], {"a report on what we hold is due"})
