"""Workitems of another manager are claimed, read and answered, by either wire, whoever wrote the manager."""

import pytest
from pydicom import Dataset

from node.model.job import State
from tests.managers import OurDoor, OurWeb, PlainDoor, PlainWeb, managing
from tests.node.outbound.theatre import Theatre
from tests.node.worklist.ward import OBJECTS
from tests.ports import free_port
from tests.waiting import wait_until
from tests.workitems import make_code

KINDS = [OurWeb, OurDoor, PlainWeb, PlainDoor]
UID = "1.2.826.5.1"


@pytest.fixture(params=KINDS, ids=[kind.__name__ for kind in KINDS])
def house(request, tmp_path):
    """play(**rules) -> (manager, theatre)."""
    port, open_ones = free_port(), []
    with managing(request.param, tmp_path, port) as manager:

        def play(**rules):
            open_ones.append(Theatre(tmp_path / "home", manager, port, **rules))
            return manager, open_ones[-1]

        yield play
        for one in open_ones:
            one.close()


def get_progress(item):
    return item.ProcedureStepProgressInformationSequence[0]


def state_of(manager, uid=UID):
    return manager.read(uid).ProcedureStepState


def test_a_workitem_that_names_our_pipeline_is_claimed_read_and_completed_with_its_outputs(house):
    manager, theatre = house()
    theatre.receive()
    theatre.finish_study()
    manager.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    assert state_of(manager) == "IN PROGRESS"
    (job,) = theatre.ledger.find_jobs()
    assert (job.pipeline, job.study_uid, job.deliver) == ("lung-seg", "1.2.3", ("pacs",))
    theatre.move(job.id, State.CLAIMED)
    job = theatre.ledger.get_job(job.id)
    theatre.ledger.note_progress(job.id, job.token, 0.42, "run: segments")
    theatre.until(lambda: manager.read(UID).get("ProcedureStepProgressInformationSequence"))
    theatre.until(lambda: get_progress(manager.read(UID)).get("ProcedureStepProgress") == 42)
    assert get_progress(manager.read(UID)).ProcedureStepProgressDescription == "run: segments"
    theatre.move(job.id, State.CONFIRMED)
    theatre.until(lambda: state_of(manager) == "COMPLETED")
    (performed,) = manager.read(UID).UnifiedProcedureStepPerformedProcedureSequence
    listed = [o.ReferencedSOPInstanceUID for s in performed.OutputInformationSequence for o in s.ReferencedSOPSequence]
    assert sorted(listed) == sorted(one.sop_instance_uid for one in OBJECTS)
    assert performed.PerformedStationNameCodeSequence[0].CodeValue == "WETREAD"
    assert performed.PerformedWorkitemCodeSequence[0].CodeValue == "lung-seg"


@pytest.mark.parametrize("house", [OurWeb, PlainDoor], indirect=True)
def test_a_job_that_fails_cancels_its_workitem_with_a_coded_reason(house):
    manager, theatre = house()
    theatre.receive()
    theatre.finish_study()
    manager.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    (job,) = theatre.ledger.find_jobs()
    theatre.move(job.id, State.FAILED, "MissingSlices: 3 planes are missing")
    theatre.until(lambda: state_of(manager) == "CANCELED")
    told = get_progress(manager.read(UID))
    assert told.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110523"
    assert "MissingSlices" in told.ReasonForCancellation


@pytest.mark.parametrize("house", [PlainWeb, OurDoor], indirect=True)
def test_what_is_not_for_us_stays_scheduled(house):
    manager, theatre = house()
    manager.create("1.2.826.6.1", ScheduledWorkitemCodeSequence=[make_code("110004", "DCM")])
    manager.create("1.2.826.6.2", ScheduledStationNameCodeSequence=[make_code("OTHER")])
    manager.create("1.2.826.6.3", InputReadinessState="INCOMPLETE")
    manager.create("1.2.826.6.4", ScheduledHumanPerformersSequence=[make_human()])
    manager.create(UID)
    theatre.until(lambda: state_of(manager) == "IN PROGRESS")
    assert {state_of(manager, f"1.2.826.6.{n}") for n in range(1, 5)} == {"SCHEDULED"}


def make_human():
    human = Dataset()
    human.HumanPerformerOrganization = "elsewhere"
    return human


@pytest.mark.parametrize("house", [PlainWeb, PlainDoor], indirect=True)
def test_a_label_a_station_and_a_number_at_once_limit_what_is_claimed(house):
    manager, theatre = house(label="AI", station="AI-ROOM", at_once=1)
    ours = {"ScheduledStationNameCodeSequence": [make_code("AI-ROOM")]}
    manager.create("1.2.826.6.1", WorklistLabel="OTHER", **ours)
    manager.create("1.2.826.6.2")
    manager.create(UID, **ours)
    manager.create(UID + ".2", **ours)
    theatre.until(theatre.items)
    states = [state_of(manager, uid) for uid in (UID, UID + ".2", "1.2.826.6.1", "1.2.826.6.2")]
    assert sorted(states[:2]) == ["IN PROGRESS", "SCHEDULED"]
    assert states[2:] == ["SCHEDULED", "SCHEDULED"]
    (item,) = theatre.items()
    assert item.ScheduledStationNameCodeSequence[0].CodeValue == "WETREAD"
    theatre.receive()
    theatre.finish_study()
    theatre.until(theatre.ledger.find_jobs)
    (job,) = theatre.ledger.find_jobs()
    theatre.move(job.id, State.CONFIRMED)
    both = [UID, UID + ".2"]
    theatre.until(lambda: sorted(state_of(manager, uid) for uid in both) == ["COMPLETED", "COMPLETED"])


# Triggered Pull: the manager tells, we come


def test_what_the_manager_tells_of_is_claimed_though_its_list_is_hardly_ever_looked_at(house):
    manager, theatre = house(how="subscribe", every="PT1H", label="AI")
    theatre.listen()
    theatre.until(lambda: is_told_of(theatre, manager))
    manager.create(UID)
    manager.create("1.2.826.6.1", WorklistLabel="OTHER")
    theatre.until(lambda: state_of(manager) == "IN PROGRESS")
    assert state_of(manager, "1.2.826.6.1") == "SCHEDULED"


def is_told_of(theatre, manager):
    """We subscribed, and have looked at what there was before."""
    is_open = (
        bool(getattr(manager, "events", None))
        or "WETREAD" in getattr(getattr(manager, "worklist", None), "find_subscribers", list)()
    )
    return is_open and not theatre.worklist.find_heard("manager") and theatre.performer._search_at > 0


def test_a_request_to_cancel_is_heard_and_the_job_stops(house):
    manager, theatre = house(how="subscribe", every="PT1H")
    theatre.listen()
    theatre.receive()
    theatre.finish_study()
    manager.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    (job,) = theatre.ledger.find_jobs()
    theatre.move(job.id, State.CLAIMED)
    theatre.until(lambda: manager.read(UID).get("ProcedureStepProgressInformationSequence"))
    theatre.until(lambda: is_told_of(theatre, manager))
    manager.ask_to_cancel(UID)
    theatre.until(lambda: state_of(manager) == "CANCELED")
    assert theatre.ledger.get_job(job.id).state == State.CANCELED
    assert get_progress(manager.read(UID)).ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


@pytest.mark.parametrize("house", [OurWeb, PlainDoor], indirect=True)
def test_a_request_to_cancel_before_there_is_a_job_gives_its_reason_back(house):
    manager, theatre = house(how="subscribe", every="PT1H")
    theatre.listen()
    manager.create(UID)
    theatre.until(lambda: state_of(manager) == "IN PROGRESS" and is_told_of(theatre, manager))
    manager.ask_to_cancel(UID, "the patient has left")
    theatre.until(lambda: state_of(manager) == "CANCELED")
    assert get_progress(manager.read(UID)).ReasonForCancellation == "the patient has left"


@pytest.mark.parametrize("house", [PlainWeb, OurDoor], indirect=True)
def test_what_was_told_is_acted_on_after_a_restart(house):
    """The event is a row before the manager is answered."""
    manager, theatre = house(how="subscribe", every="PT1H")
    theatre.listen()
    theatre.until(lambda: is_told_of(theatre, manager))
    manager.create(UID)
    assert wait_until(lambda: theatre.worklist.find_heard("manager"))
    theatre.worklist.close()
    theatre.ledger.close()
    theatre.open()
    theatre.performer._search_at = theatre.performer._look_at = theatre.performer._subscribe_at = float("inf")
    theatre.until(lambda: state_of(manager) == "IN PROGRESS")
