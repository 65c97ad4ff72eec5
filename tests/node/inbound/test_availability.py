"""A PACS announces what it has of a study: the listener keeps it, and refuses by status what it cannot use."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.dsutils import encode

from node import wiring
from node.config import load_settings
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION
from node.ledger import SqlLedger
from node.model.expectation import Kind, Tally
from node.outbound.reactor import hold_reactor
from tests.jobs import add_instance, make_instance
from tests.ports import free_port

TOML = '[node]\nlisten = "127.0.0.1:{door}"\nhome = "home"\n'
STUDY = "1.2.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]


@pytest.fixture
def door(tmp_path):
    """(port, ledger) of a listener."""
    port = free_port()
    path = tmp_path / "wetread.toml"
    path.write_text(TOML.format(door=port))
    settings = load_settings(path, {})
    listener = wiring.make_listener(settings)
    listener.start()
    ledger = SqlLedger(settings.ledger_url)
    yield port, ledger
    listener.stop()
    ledger.close()


def call(port, *syntaxes):
    entity = AE("PACS")
    entity.add_requested_context(INSTANCE_AVAILABILITY_NOTIFICATION, list(syntaxes) or SYNTAXES[:2])
    line = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert line.is_established
    return line


def make_notice(*instances, study_uid=STUDY):
    """instances: (number, availability)."""
    notice, series = Dataset(), Dataset()
    notice.ReferencedPerformedProcedureStepSequence = []
    notice.StudyInstanceUID, series.SeriesInstanceUID = study_uid, f"{study_uid}.1"
    series.ReferencedSOPSequence = []
    for number, availability in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, f"{study_uid}.1.{number}"
        item.InstanceAvailability, item.RetrieveAETitle = availability, "PACS"
        series.ReferencedSOPSequence.append(item)
    notice.ReferencedSeriesSequence = [series]
    return notice


def create(line, notice, uid="2.25.1"):
    """The answer to one N-CREATE."""
    with hold_reactor(line):
        status, _ = line.send_n_create(notice, INSTANCE_AVAILABILITY_NOTIFICATION, uid)
    return status


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_announced_is_kept_with_its_study_in_every_syntax(door, syntax):
    port, ledger = door
    add_instance(ledger, make_instance(1))
    line = call(port, syntax)
    assert create(line, make_notice((1, "ONLINE"), (2, "NEARLINE"), (3, "UNAVAILABLE"))).Status == 0x0000
    line.release()
    assert ledger.tally(STUDY) == Tally(held=1, announced=2, announced_here=1, unannounced=0)
    (said,) = ledger.find_expectations()
    assert (said.kind, said.source) == (Kind.ANNOUNCEMENT, "PACS")


def test_a_later_notification_adds_to_the_first_and_takes_back_what_is_gone(door):
    port, ledger = door
    line = call(port)
    assert create(line, make_notice((1, "ONLINE"), (2, "ONLINE")), "2.25.1").Status == 0x0000
    assert create(line, make_notice((2, "UNAVAILABLE"), (3, "ONLINE"), (4, "OFFLINE")), "2.25.2").Status == 0x0000
    assert ledger.tally(STUDY).announced == 3
    assert ledger.tally("1.2.4").announced == 0
    line.release()


def test_a_notification_without_a_uid_of_its_own_gets_one(door):
    port, ledger = door
    line = call(port, SYNTAXES[0])
    answers = [send_raw(line, encode(make_notice((number, "ONLINE")), True, True), "") for number in (1, 2)]
    assert [answer.Status for answer in answers] == [0x0000, 0x0000]
    assert len({answer.AffectedSOPInstanceUID for answer in answers} - {None}) == 2
    assert ledger.tally(STUDY).announced == 2
    line.release()


def test_the_same_notification_twice_is_a_duplicate(door):
    line = call(door[0])
    assert create(line, make_notice((1, "ONLINE"))).Status == 0x0000
    assert create(line, make_notice((1, "ONLINE"))).Status == 0x0111
    line.release()


def without(keyword):
    def change(notice):
        for dataset in (notice, notice.ReferencedSeriesSequence[0], notice.ReferencedSeriesSequence[0][0x00081199][0]):
            if keyword in dataset:
                delattr(dataset, keyword)
                return

    return change


def put(keyword, value):
    def change(notice):
        for dataset in (notice, notice.ReferencedSeriesSequence[0], notice.ReferencedSeriesSequence[0][0x00081199][0]):
            if keyword in dataset:
                setattr(dataset, keyword, value)
                return

    return change


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        (without("StudyInstanceUID"), 0x0120, "StudyInstanceUID"),
        (without("ReferencedSeriesSequence"), 0x0120, "ReferencedSeriesSequence"),
        (without("SeriesInstanceUID"), 0x0120, "SeriesInstanceUID"),
        (without("ReferencedSOPSequence"), 0x0120, "ReferencedSOPSequence"),
        (without("ReferencedSOPInstanceUID"), 0x0120, "ReferencedSOPInstanceUID"),
        (without("InstanceAvailability"), 0x0120, "InstanceAvailability"),
        (put("StudyInstanceUID", ""), 0x0121, "StudyInstanceUID"),
        (put("ReferencedSeriesSequence", Sequence()), 0x0121, "ReferencedSeriesSequence"),
        (put("ReferencedSOPInstanceUID", "1." * 40), 0x0106, "ReferencedSOPInstanceUID"),
        (put("InstanceAvailability", "SOON"), 0x0106, "Instance Availability"),
    ],
)
def test_a_notification_that_lacks_something_is_refused_by_status_and_leaves_nothing(door, change, status, named):
    port, ledger = door
    line = call(port)
    notice = make_notice((1, "ONLINE"), (2, "ONLINE"))
    change(notice)
    answer = create(line, notice)
    assert answer.Status == status
    assert named in answer.ErrorComment
    assert create(line, make_notice((1, "ONLINE"))).Status == 0x0000  # the association lives
    assert ledger.tally(STUDY).announced == 1
    line.release()


def test_bytes_that_are_no_data_set_are_a_processing_failure(door):
    line = call(door[0], SYNTAXES[1])
    assert send_raw(line, b"\x28\x00\x10\x00US\x01\x00\x00").Status == 0x0110
    line.release()


def test_no_data_set_at_all_is_a_missing_attribute(door):
    line = call(door[0])
    assert send_raw(line, b"").Status == 0x0120
    line.release()


def test_a_request_for_another_class_is_refused(door):
    line = call(door[0])
    assert send_raw(line, b"", sop_class=CT).Status == 0x0118
    line.release()


def test_another_operation_of_the_class_is_not_recognized(door):
    line = call(door[0])
    with hold_reactor(line):
        status, _ = line.send_n_get([0x0020000D], INSTANCE_AVAILABILITY_NOTIFICATION, "2.25.1")
    assert status.Status == 0x0211
    line.release()


def send_raw(line, data, uid="2.25.1", sop_class=INSTANCE_AVAILABILITY_NOTIFICATION):
    """The answer to an N-CREATE with `data` for a data set."""
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = 1, sop_class, uid or None
    request.AttributeList = BytesIO(data) if data else None
    with hold_reactor(line):
        line.dimse.send_msg(request, line.accepted_contexts[0].context_id)
        return line.dimse.get_msg(block=True)[1]
