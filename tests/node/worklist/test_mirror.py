"""Jobs are workitems, pushed workitems become jobs, and each follows the other whatever dies in between."""

import os
import signal
import time

import pytest
from pydicom import Dataset

from node.model.delivery import DeliveryState
from node.model.job import Priority, State
from node.model.study import StudyState
from node.model.workitem import GLOBAL
from node.worklist.guard import find_route
from tests.node.worklist.ward import Ward
from tests.workitems import make_code, make_workitem


@pytest.fixture
def ward(tmp_path):
    one = Ward(tmp_path)
    yield one
    one.close()


def hear(ward, subscriber):
    notices = ward.worklist.find_notices(subscriber)
    return [Dataset.from_json(one.model).ProcedureStepState for one in notices if one.report == 1]


def progress_of(item):
    return item.ProcedureStepProgressInformationSequence[0]


def code_of(sequence):
    return [(item.CodeValue, item.CodingSchemeDesignator) for item in sequence]


# A job is a workitem


def test_a_job_that_waits_is_a_scheduled_workitem_of_its_patient_and_images(ward):
    ward.tick()
    ward.add_job()
    ward.tick()
    item = ward.item()
    assert (item.ProcedureStepState, item.ScheduledProcedureStepPriority) == ("SCHEDULED", "MEDIUM")
    assert (item.PatientName, item.PatientID, item.PatientSex) == ("Test^Pat", "P-1", "O")
    assert item.ReferencedRequestSequence[0].AccessionNumber == "A-1"
    assert code_of(item.ScheduledWorkitemCodeSequence) == [("lung-seg", "99WETREAD")]
    assert code_of(item.ScheduledStationNameCodeSequence) == [("WETREAD", "99WETREAD")]
    (inputs,) = item.InputInformationSequence
    assert (inputs.StudyInstanceUID, inputs.SeriesInstanceUID) == ("1.2.3", "1.2.3.1")
    assert [one.ReferencedSOPInstanceUID for one in inputs.ReferencedSOPSequence] == [f"1.2.3.1.{n}" for n in range(3)]


def test_a_pipeline_with_a_long_name_has_workitems_too_and_is_named_by_them(ward):
    ward.add_job(pipeline="nodule-malignancy")
    ward.tick()
    item = ward.item()
    (code,) = item.ScheduledWorkitemCodeSequence
    assert (code.LongCodeValue, code.CodingSchemeDesignator) == ("nodule-malignancy", "99WETREAD")
    assert "CodeValue" not in code
    route = ward.settings.routes[0].model_copy(update={"pipeline": "nodule-malignancy"})
    settings = ward.settings.model_copy(update={"routes": [route]})
    assert find_route(item.to_json_dict(), settings) is route
    assert find_route(item.to_json_dict(), ward.settings) is None


def test_a_job_that_runs_tells_percent_and_text(ward):
    job_id = ward.add_job()
    ward.tick()
    ward.move(job_id, State.CLAIMED)
    job = ward.ledger.get_job(job_id)
    ward.ledger.note_progress(job_id, job.token, 0.42, "run: segments")
    ward.tick()
    item = ward.item()
    assert item.ProcedureStepState == "IN PROGRESS"
    told = progress_of(item)
    assert (told.ProcedureStepProgress, told.ProcedureStepProgressDescription) == (42, "run: segments")
    before = ward.worklist.get(item.SOPInstanceUID).changed_at
    ward.tick()
    assert ward.worklist.get(item.SOPInstanceUID).changed_at == before


def test_a_job_that_is_confirmed_lists_every_object_before_it_is_completed(ward):
    ward.worklist.subscribe(GLOBAL, "READER", 1.0)
    job_id = ward.add_job()
    ward.tick()
    ward.move(job_id, State.CONFIRMED)
    ward.tick()
    assert hear(ward, "READER") == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
    (performed,) = ward.item().UnifiedProcedureStepPerformedProcedureSequence
    assert code_of(performed.PerformedWorkitemCodeSequence) == [("lung-seg", "99WETREAD")]
    outputs = performed.OutputInformationSequence
    found = {(o.SeriesInstanceUID, one.ReferencedSOPInstanceUID) for o in outputs for one in o.ReferencedSOPSequence}
    assert found == {("9", "2.9.1"), ("8", "2.8.1")}
    assert {o.DICOMRetrievalSequence[0].RetrieveAETitle for o in outputs} == {"MAINPACS"}
    assert performed.PerformedProcedureStepStartDateTime <= performed.PerformedProcedureStepEndDateTime
    assert progress_of(ward.item()).ProcedureStepProgress == 100


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("WrongBodyPart: HEAD", [("110522", "DCM"), ("R104", "99WETREAD")]),
        ("MissingSlices: one", [("110523", "DCM"), ("R111", "99WETREAD")]),
        ("WorkerLost: thrice", [("110501", "DCM")]),
        ("Nobody: knows", [("110513", "DCM")]),
    ],
)
def test_a_job_that_fails_says_why_by_code(ward, reason, codes):
    ward.tick()
    job_id = ward.add_job()
    ward.move(job_id, State.CLAIMED)
    ward.move(job_id, State.FAILED, reason)
    ward.tick()
    item = ward.item()
    assert item.ProcedureStepState == "CANCELED"
    told = progress_of(item)
    assert code_of(told.ProcedureStepDiscontinuationReasonCodeSequence) == codes
    assert told.ReasonForCancellation == reason


def test_a_failed_job_that_an_operator_runs_again_is_a_new_workitem_in_place_of_the_old(ward):
    ward.tick()
    job_id = ward.add_job()
    ward.move(job_id, State.FAILED, "Nobody: knows")
    ward.tick()
    first = ward.item()
    ward.move(job_id, State.QUEUED)
    ward.tick()
    ward.move(job_id, State.CONFIRMED)
    ward.tick()
    states = {item.SOPInstanceUID: item for item in ward.items()}
    assert states.pop(first.SOPInstanceUID).ProcedureStepState == "CANCELED"
    (second,) = states.values()
    assert second.ProcedureStepState == "COMPLETED"
    assert second.ReplacedProcedureStepSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_job_whose_worker_was_lost_stays_in_progress(ward):
    job_id = ward.add_job()
    ward.move(job_id, State.CLAIMED)
    ward.tick()
    ward.move(job_id, State.QUEUED)
    ward.tick()
    item = ward.item()
    assert item.ProcedureStepState == "IN PROGRESS"
    assert "again" in progress_of(item).ProcedureStepProgressDescription


def test_jobs_that_ended_before_there_was_a_worklist_are_no_workitems(ward):
    job_id = ward.add_job()
    ward.move(job_id, State.CONFIRMED)
    ward.add_job("1.2.4", id="1" * 32)
    ward.tick()
    assert ward.item().StudyInstanceUID == "1.2.4"


# What is asked of the workitem


def test_a_job_whose_workitem_is_canceled_while_it_waits_is_canceled(ward):
    job_id = ward.add_job()
    ward.tick()
    ward.worklist.request_cancel(ward.item().SOPInstanceUID, Dataset(), "WARD", time.time())
    ward.tick()
    assert ward.ledger.get_job(job_id).state == State.CANCELED
    ward.tick()
    assert ward.item().ProcedureStepState == "CANCELED"


def test_a_request_to_cancel_reaches_a_job_that_runs(ward):
    job_id = ward.add_job()
    ward.move(job_id, State.CLAIMED)
    ward.tick()
    ward.worklist.request_cancel(ward.item().SOPInstanceUID, Dataset(), "WARD", time.time())
    ward.tick()
    assert ward.ledger.get_job(job_id).state == State.CANCELED
    assert ward.item().ProcedureStepState == "CANCELED"


def test_a_request_that_comes_too_late_changes_nothing(ward):
    job_id = ward.add_job()
    ward.move(job_id, State.DELIVERED)
    ward.tick()
    ward.worklist.request_cancel(ward.item().SOPInstanceUID, Dataset(), "WARD", time.time())
    ward.tick()
    assert ward.worklist.find_stirred() == []
    ward.move(job_id, State.CONFIRMED)
    ward.tick()
    assert ward.item().ProcedureStepState == "COMPLETED"


def test_priority_moves_the_job_and_the_job_moves_the_priority(ward):
    job_id = ward.add_job()
    ward.tick()
    changes = Dataset()
    changes.ScheduledProcedureStepPriority = "HIGH"
    ward.worklist.update(ward.item().SOPInstanceUID, changes, time.time())
    ward.tick()
    assert ward.ledger.get_job(job_id).priority == Priority.STAT
    ward.ledger.set_priority(ward.ledger.get_job(job_id), Priority.OFF_PEAK, time.time())
    ward.tick()
    assert ward.item().ScheduledProcedureStepPriority == "LOW"
    ward.tick()
    assert ward.ledger.get_job(job_id).priority == Priority.OFF_PEAK


def test_a_workitem_that_somebody_else_performs_is_left_to_them(ward):
    job_id = ward.add_job()
    ward.tick()
    uid = ward.item().SOPInstanceUID
    ward.worklist.change_state(uid, "IN PROGRESS", "2.25.7", time.time())
    ward.move(job_id, State.CONFIRMED)
    ward.tick()
    assert ward.item().ProcedureStepState == "IN PROGRESS"
    assert ward.worklist.find_stirred() == []


# A pushed workitem is a job


def push(ward, uids, uid="1.2.826.1", code="lung-seg", **changes):
    inputs = Dataset()
    inputs.TypeOfInstances, inputs.StudyInstanceUID, inputs.SeriesInstanceUID = "DICOM", "1.2.3", "1.2.3.1"
    references = []
    for one in uids:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", one
        references.append(reference)
    inputs.ReferencedSOPSequence = references
    said = {"InputInformationSequence": [inputs] if uids else []}
    said["ScheduledWorkitemCodeSequence"] = [make_code(code, "99WETREAD", "segments lungs")]
    ward.worklist.create(make_workitem(**said | changes), time.time(), uid)


def find_job(ward):
    jobs = ward.ledger.find_jobs("1.2.3")
    assert len(jobs) <= 1
    return jobs[0] if jobs else None


def test_a_pushed_workitem_becomes_a_job_when_its_study_is_here_and_ends_with_it(ward):
    uids = ward.receive()
    push(ward, uids, ScheduledProcedureStepPriority="HIGH")
    ward.tick()
    assert find_job(ward) is None
    ward.finish_study()
    ward.tick()
    job = find_job(ward)
    assert (job.pipeline, job.route, job.deliver) == ("lung-seg", "chest CT", ("pacs",))
    assert (job.priority, job.series_uids) == (Priority.STAT, ("1.2.3.1",))
    ward.tick()
    assert find_job(ward).id == job.id
    ward.move(job.id, State.CONFIRMED)
    ward.tick()
    item = ward.item()
    assert (item.SOPInstanceUID, item.ProcedureStepState) == ("1.2.826.1", "COMPLETED")
    assert item.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence
    assert item.PatientName == "Doe^Jane"


def test_what_a_workitem_names_is_waited_for(ward):
    push(ward, ["1.2.3.1.0", "1.2.3.1.1", "1.2.3.1.2"])
    ward.tick()
    ward.receive(number=2)
    tally = ward.ledger.tally("1.2.3")
    assert (tally.announced, tally.announced_here) == (3, 2)
    ward.finish_study()
    ward.tick()
    assert find_job(ward) is None
    assert ward.item().ProcedureStepState == "SCHEDULED"
    assert ward.ledger.find_study("1.2.3").state == StudyState.COMPLETE


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "no-such-pipeline"},
        {"ScheduledStationNameCodeSequence": [make_code("OTHER")]},
        {"InputReadinessState": "INCOMPLETE"},
        {"ScheduledHumanPerformersSequence": [make_code("1")]},
        {"ScheduledWorkitemCodeSequence": [make_code("lung-seg", "99OTHER")]},
    ],
)
def test_what_is_for_somebody_else_or_not_ready_stays_scheduled(ward, changes):
    push(ward, ward.receive(), **changes)
    ward.finish_study()
    ward.tick()
    assert find_job(ward) is None
    assert ward.item().ProcedureStepState == "SCHEDULED"


def test_a_worklist_label_that_is_a_route_names_its_pipeline(ward):
    ward.receive()
    push(ward, [], code="110004", WorklistLabel="chest CT", StudyInstanceUID="1.2.3")
    ward.finish_study()
    ward.tick()
    assert find_job(ward).route == "chest CT"


def test_a_job_that_the_study_has_already_is_not_done_twice(ward):
    job_id = ward.add_job()
    ward.tick()
    push(ward, ["1.2.3.1.0"])
    ward.tick()
    assert find_job(ward).id == job_id
    ward.move(job_id, State.CONFIRMED)
    ward.tick()
    assert [item.ProcedureStepState for item in ward.items()] == ["COMPLETED", "COMPLETED"]


def test_cancel_of_a_pushed_workitem_cancels_its_job(ward):
    push(ward, ward.receive())
    ward.finish_study()
    ward.tick()
    ward.move(find_job(ward).id, State.CLAIMED)
    ward.tick()
    ward.worklist.request_cancel("1.2.826.1", Dataset(), "WARD", time.time())
    ward.tick()
    assert find_job(ward).state == State.CANCELED
    assert ward.item().ProcedureStepState == "CANCELED"


# Killed at every step

VERBS = ("create", "put_link", "update", "change_state", "put_bookmark", "request_cancel")


def tick_until_killed(home, step):
    """In a child: ticks; killed before the n-th write of the worklist or of the ledger."""
    ward = Ward(home)
    left = [step]

    def mortal(verb):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return verb(*args, **kwargs)

        return call

    for book, verbs in ((ward.worklist, VERBS), (ward.ledger, ("add_job", "move_job", "set_priority"))):
        for verb in verbs:
            setattr(book, verb, mortal(getattr(book, verb)))
    ward.tick()
    ward.tick()


def kill_at(home, step):
    """True when the child was killed, False when it came to the end."""
    child = os.fork()
    if child == 0:
        try:
            tick_until_killed(home, step)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_before_any_write_it_goes_on_and_nothing_is_lost_or_doubled(tmp_path):
    killed = 0
    for step in range(1, 40):
        home = tmp_path / str(step)
        ward = Ward(home)
        ward.tick()
        ward.worklist.subscribe(GLOBAL, "READER", 1.0)
        job_id = ward.add_job()
        ward.move(job_id, State.CONFIRMED)
        ward.receive("1.2.4")
        ward.finish_study(study_uid="1.2.4")
        push(ward, [], StudyInstanceUID="1.2.4")
        ward.close()
        if not kill_at(home, step):
            break
        killed += 1
        ward.open()
        ward.tick()
        ward.tick()
        states = {item.StudyInstanceUID: item.ProcedureStepState for item in ward.items()}
        assert states == {"1.2.3": "COMPLETED", "1.2.4": "SCHEDULED"}
        assert len(ward.items()) == 2
        assert len(ward.ledger.find_jobs("1.2.4")) == 1
        assert hear(ward, "READER").count("COMPLETED") == 1
        assert sorted(hear(ward, "READER")) == ["COMPLETED", "IN PROGRESS", "SCHEDULED", "SCHEDULED"]
        ward.close()
    assert killed >= 8


def test_killed_while_a_failed_job_s_workitem_ends_it_takes_no_later_run_for_one_to_cancel(tmp_path):
    for step in range(1, 40):
        ward = Ward(tmp_path / str(step))
        ward.tick()
        job_id = ward.add_job()
        ward.move(job_id, State.FAILED, "Nobody: knows")
        ward.close()
        if not kill_at(tmp_path / str(step), step):
            break
        ward.open()
        ward.move(job_id, State.QUEUED)
        ward.tick()
        ward.tick()
        assert ward.ledger.get_job(job_id).state == State.QUEUED
        ward.close()
    assert step >= 7


def test_only_what_a_destination_took_is_listed(ward):
    ward.tick()
    job_id = ward.add_job()
    ward.move(job_id, State.ENCODED)
    (first, _) = ward.ledger.find_deliveries(job_id)
    ward.ledger.move_delivery(first, DeliveryState.REFUSED, "0xC000", 0.0)
    ward.move(job_id, State.FAILED, "PeerRefused: one")
    ward.tick()
    (performed,) = ward.item().UnifiedProcedureStepPerformedProcedureSequence
    (output,) = performed.OutputInformationSequence
    assert output.SeriesInstanceUID == "8"
