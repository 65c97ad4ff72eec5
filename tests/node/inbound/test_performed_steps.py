"""A modality says what it made and when it is done: the listener keeps it, and refuses by status what cannot be."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.dsutils import encode

from node import wiring
from node.config import load_settings
from node.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP as STEP
from node.ledger import SqlLedger
from node.ledger.tables import metadata
from node.model.expectation import Kind, StepState, Tally
from node.model.study import StudyState
from node.outbound.reactor import hold_reactor
from tests.jobs import add_instance, make_instance
from tests.node.inbound.desk import STUDY as WARD_STUDY
from tests.node.inbound.desk import Desk
from tests.ports import free_port
from tests.series import make_series

TOML = '[node]\nlisten = "127.0.0.1:{door}"\nhome = "home"\n'
STUDY = "1.2.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
OVER = 0xA710


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
    entity = AE("CT1")
    entity.add_requested_context(STEP, list(syntaxes) or SYNTAXES[:2])
    line = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert line.is_established
    return line


def make_step(*images, studies=(STUDY,)):
    """An N-CREATE's attributes: all of type 1 and 2, as a modality has them."""
    step = Dataset()
    step.ScheduledStepAttributesSequence = []
    for study in studies:
        item = Dataset()
        item.StudyInstanceUID, item.AccessionNumber, item.RequestedProcedureID = study, "A-1", "RP1"
        item.ReferencedStudySequence, item.ScheduledProcedureStepID = [], "SPS1"
        step.ScheduledStepAttributesSequence.append(item)
    step.PatientName, step.PatientID, step.PatientBirthDate, step.PatientSex = "Test^Pat", "P-1", "", ""
    step.PerformedProcedureStepID, step.PerformedStationAETitle = "PPS1", "CT1"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20240102", "030405"
    step.PerformedProcedureStepEndDate = step.PerformedProcedureStepEndTime = ""
    step.PerformedProcedureStepStatus, step.Modality, step.StudyID = "IN PROGRESS", "CT", "1"
    step.PerformedSeriesSequence = [make_made(*images)] if images else []
    return step


def make_made(*images, study=STUDY):
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName, series.RetrieveAETitle = f"{study}.1", "Chest", ""
    series.ReferencedImageSequence, series.ReferencedNonImageCompositeSOPInstanceSequence = [], []
    for number in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, f"{study}.1.{number}"
        series.ReferencedImageSequence.append(item)
    return series


def make_change(state="", *images):
    change = Dataset()
    if state:
        change.PerformedProcedureStepStatus = state
    if images:
        change.PerformedSeriesSequence = [make_made(*images)]
    return change


def create(line, step, uid="2.25.1"):
    with hold_reactor(line):
        return line.send_n_create(step, STEP, uid)[0]


def change(line, modification, uid="2.25.1", sop_class=STEP):
    with hold_reactor(line):
        return line.send_n_set(modification, sop_class, uid, meta_uid=STEP)[0]


def find(ledger):
    """(state, number of images) of every step on a study that is under way."""
    return [(one.answer, one.number) for one in ledger.find_expectations() if one.kind == Kind.STEP]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_step_begins_goes_on_and_ends_in_every_syntax(door, syntax):
    port, ledger = door
    add_instance(ledger, make_instance(1))
    line = call(port, syntax)
    assert create(line, make_step()).Status == 0x0000
    assert find(ledger) == [("IN PROGRESS", 0)]
    assert change(line, make_change("", 1)).Status == 0x0000
    assert find(ledger) == [("IN PROGRESS", 1)]
    assert change(line, make_change("COMPLETED", 1, 2)).Status == 0x0000
    assert find(ledger) == [("COMPLETED", 2)]
    assert ledger.tally(STUDY) == Tally(held=1, announced=2, announced_here=1, unannounced=0)
    line.release()


def test_what_a_step_has_made_is_what_it_said_last(door):
    port, ledger = door
    line = call(port)
    assert create(line, make_step(1, 2, 3)).Status == 0x0000
    assert change(line, make_change("", 2)).Status == 0x0000
    assert change(line, make_change("DISCONTINUED")).Status == 0x0000
    assert ledger.tally(STUDY).announced == 1
    line.release()


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_is_over_is_not_changed_any_more(door, state):
    port, ledger = door
    add_instance(ledger, make_instance(1))
    line = call(port)
    create(line, make_step())
    assert change(line, make_change(state, 1)).Status == 0x0000
    for later in ("IN PROGRESS", "COMPLETED", "DISCONTINUED", ""):
        answer = change(line, make_change(later, 1, 2))
        assert (answer.Status, answer.ErrorID) == (0x0110, OVER)
        assert state in answer.ErrorComment
    assert find(ledger) == [(state, 1)]
    line.release()


def test_the_same_step_twice_is_a_duplicate_and_changes_nothing(door):
    port, ledger = door
    line = call(port)
    assert create(line, make_step(1)).Status == 0x0000
    assert create(line, make_step(1, 2)).Status == 0x0111
    assert ledger.tally(STUDY).announced == 1
    line.release()


def test_a_step_that_is_not_known_cannot_be_changed(door):
    line = call(door[0])
    assert change(line, make_change("COMPLETED", 1)).Status == 0x0112
    assert create(line, make_step()).Status == 0x0000
    line.release()


def test_a_step_without_a_uid_gets_one(door):
    line = call(door[0], SYNTAXES[0])
    answers = [send_raw(line, encode(make_step(), True, True), "") for _ in range(2)]
    assert [answer.Status for answer in answers] == [0x0000, 0x0000]
    assert len({answer.AffectedSOPInstanceUID for answer in answers} - {None}) == 2
    line.release()


def without(keyword):
    return lambda step: delattr(step if keyword in step else step.ScheduledStepAttributesSequence[0], keyword)


def put(keyword, value):
    return lambda step: setattr(step if keyword in step else step.ScheduledStepAttributesSequence[0], keyword, value)


@pytest.mark.parametrize(
    ("spoil", "status", "named"),
    [
        (without("ScheduledStepAttributesSequence"), 0x0120, "ScheduledStepAttributesSequence"),
        (without("StudyInstanceUID"), 0x0120, "StudyInstanceUID"),
        (without("PerformedProcedureStepID"), 0x0120, "PerformedProcedureStepID"),
        (without("PerformedStationAETitle"), 0x0120, "PerformedStationAETitle"),
        (without("PerformedProcedureStepStartDate"), 0x0120, "PerformedProcedureStepStartDate"),
        (without("PerformedProcedureStepStartTime"), 0x0120, "PerformedProcedureStepStartTime"),
        (without("PerformedProcedureStepStatus"), 0x0120, "PerformedProcedureStepStatus"),
        (without("Modality"), 0x0120, "Modality"),
        (put("ScheduledStepAttributesSequence", Sequence()), 0x0121, "ScheduledStepAttributesSequence"),
        (put("StudyInstanceUID", ""), 0x0121, "StudyInstanceUID"),
        (put("StudyInstanceUID", "1." * 40), 0x0106, "StudyInstanceUID"),
        (put("PerformedProcedureStepStatus", "COMPLETED"), 0x0106, "must begin as IN PROGRESS"),
        (put("PerformedProcedureStepStatus", "DONE"), 0x0106, "PerformedProcedureStepStatus"),
    ],
)
def test_a_step_that_lacks_something_is_refused_by_status_and_leaves_nothing(door, spoil, status, named):
    line = call(door[0])
    step = make_step(1)
    spoil(step)
    answer = create(line, step)
    assert (answer.Status, "ErrorID" in answer) == (status, False)
    assert named in answer.ErrorComment
    assert create(line, make_step(1)).Status == 0x0000  # nothing was kept, and the association lives
    line.release()


def test_a_change_that_makes_no_sense_is_refused_and_the_step_goes_on(door):
    port, ledger = door
    add_instance(ledger, make_instance(1))
    line = call(port)
    create(line, make_step())
    assert change(line, make_change("SUSPENDED")).Status == 0x0106
    nameless = make_change("COMPLETED", 1)
    del nameless.PerformedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert change(line, nameless).Status == 0x0120
    assert find(ledger) == [("IN PROGRESS", 0)]
    line.release()


def test_bytes_that_are_no_data_set_another_class_and_another_operation_are_refused(door):
    line = call(door[0], SYNTAXES[1])
    assert send_raw(line, b"\x28\x00\x10\x00US\x01\x00\x00").Status == 0x0110
    assert send_raw(line, b"", sop_class=CT).Status == 0x0118
    assert change(line, make_change("COMPLETED"), sop_class=CT).Status == 0x0118
    with hold_reactor(line):
        status, _ = line.send_n_get([0x00400252], STEP, "2.25.1")
    assert status.Status == 0x0211
    line.release()


def test_neither_patient_nor_accession_number_reaches_the_ledger(door, tmp_path):
    port, ledger = door
    line = call(port)
    create(line, make_step(1))
    line.release()
    with ledger._engine.connect() as db:
        told = " ".join(str(row) for table in metadata.sorted_tables for row in db.execute(table.select()))
    assert "2.25.1" in told
    assert not [word for word in ("Test", "P-1", "A-1", "RP1", "20240102") if word in told]


def test_a_step_of_two_studies_announces_no_images(door):
    port, ledger = door
    add_instance(ledger, make_instance(1))
    line = call(port)
    assert create(line, make_step(1, studies=(STUDY, "1.2.4"))).Status == 0x0000
    assert change(line, make_change("COMPLETED", 1)).Status == 0x0000
    assert find(ledger) == [("COMPLETED", 1)]
    assert ledger.tally(STUDY).announced == 0
    line.release()


def send_raw(line, data, uid="2.25.1", sop_class=STEP):
    """The answer to an N-CREATE with `data` for a data set."""
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = 1, sop_class, uid or None
    request.AttributeList = BytesIO(data) if data else None
    with hold_reactor(line):
        line.dimse.send_msg(request, line.accepted_contexts[0].context_id)
        return line.dimse.get_msg(block=True)[1]


# What a step says of its study


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    desk.slices = make_series(
        (3, 4, 4), modality="MR", StudyInstanceUID=WARD_STUDY, SeriesInstanceUID=WARD_STUDY + ".1"
    )
    desk.uids = [str(one.SOPInstanceUID) for one in desk.slices]
    yield desk
    desk.close()


def test_a_study_waits_while_a_step_is_in_progress_and_is_closed_at_once_when_all_is_here(desk):
    desk.ledger.begin_step("2.25.1", [WARD_STUDY], [], 1000.0)
    desk.send(desk.slices[:2])
    assert desk.judge(50.0).waits == "waits: 1 procedure step is in progress"
    desk.ledger.set_step("2.25.1", StepState.COMPLETED, desk.uids, 1001.0)
    assert desk.judge(50.0).waits == "waits: 3 instances are announced, 2 are here"
    desk.send(desk.slices[2:])
    study = desk.judge()
    assert study.state == StudyState.COMPLETE
    assert study.evidence.startswith("complete: all 3 instances announced are here")


def test_a_step_that_was_discontinued_is_told_as_evidence(desk):
    desk.ledger.begin_step("2.25.1", [WARD_STUDY], [], 1000.0)
    desk.ledger.set_step("2.25.1", StepState.DISCONTINUED, desk.uids[:2], 1001.0)
    desk.send(desk.slices[:2])
    text = "complete: all 2 instances announced are here, 1 procedure step was discontinued"
    assert desk.judge().evidence.startswith(text)


def test_a_step_that_names_no_image_leaves_it_to_time(desk):
    desk.ledger.begin_step("2.25.1", [WARD_STUDY], [], 1000.0)
    desk.ledger.set_step("2.25.1", StepState.DISCONTINUED, None, 1001.0)
    desk.send(desk.slices)
    assert desk.judge(9.0).state == StudyState.RECEIVING
    assert desk.judge(11.0).evidence.endswith("; 1 procedure step was discontinued")


def test_a_step_that_never_ends_is_given_up_in_time(desk):
    desk.ledger.begin_step("2.25.1", [WARD_STUDY], [], 1000.0)
    desk.send(desk.slices)
    assert "1 procedure step is in progress" in desk.judge(101.0).evidence


def test_two_steps_of_a_study_add_up(desk):
    for number, state in (("1", StepState.COMPLETED), ("2", StepState.COMPLETED)):
        desk.ledger.begin_step(f"2.25.{number}", [WARD_STUDY], [], 1000.0)
        desk.ledger.set_step(f"2.25.{number}", state, [desk.uids[int(number)]], 1001.0)
    assert desk.ledger.tally(WARD_STUDY).announced == 2
