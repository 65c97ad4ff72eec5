"""A workitem is pushed by HTTP, its images come by C-STORE, and its watcher hears by WebSocket what becomes of it."""

import json

import httpx
import pytest
from pydicom import Dataset
from websockets.sync.client import connect

from node.model.job import State
from tests.workitems import make_code, make_workitem

JSON = {"Content-Type": "application/dicom+json"}


@pytest.fixture
def web(house):
    base = f"http://127.0.0.1:{house.web}/dicom-web"
    with httpx.Client(base_url=base, timeout=20) as client:
        house.wait_until(lambda: is_there(client), 60)
        yield client


def is_there(client):
    try:
        return client.get("/workitems").status_code in {200, 204}
    except httpx.TransportError:
        return False


def push(web, study, slices, uid):
    inputs = Dataset()
    inputs.TypeOfInstances, inputs.StudyInstanceUID, inputs.SeriesInstanceUID = "DICOM", study, f"{study}.1"
    inputs.ReferencedSOPSequence = []
    for one in slices:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        inputs.ReferencedSOPSequence.append(reference)
    request = make_workitem(
        InputInformationSequence=[inputs],
        ScheduledWorkitemCodeSequence=[make_code("threshold", "99WETREAD", "threshold")],
        StudyInstanceUID=study,
    )
    answer = web.post(f"/workitems?{uid}", content=json.dumps([request.to_json_dict()]), headers=JSON)
    assert answer.status_code == 201, answer.text
    return web.post(f"/workitems/{uid}/subscribers/WATCHER").headers["Content-Location"]


def read(web, uid):
    return Dataset.from_json(web.get(f"/workitems/{uid}").json()[0])


def find_state(web, uid):
    return read(web, uid).ProcedureStepState


def hear_until(channel, state):
    """The states that a watcher hears of, up to this one, and how many reports of progress."""
    states, progress = [], 0
    with connect(channel) as socket:
        while state not in states:
            frame = json.loads(socket.recv(timeout=60))
            kind = frame["00001002"]["Value"][0]
            progress += kind == 3
            states += frame["00741000"]["Value"] if kind == 1 else []
    return states, progress


def test_a_pushed_workitem_is_completed_with_what_the_pacs_got_though_the_keeper_dies(house, web, make_study):
    study, slices, files = make_study()
    house.wait_file.write_text("60")
    channel = push(web, study, slices, "1.2.826.1")
    house.send(files)
    house.wait_until(lambda: find_state(web, "1.2.826.1") == "IN PROGRESS", 60)
    house.kill("node.cli keep")
    house.wait_file.unlink()
    states, progress = hear_until(channel, "COMPLETED")
    assert states == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
    assert progress >= 1
    (performed,) = read(web, "1.2.826.1").UnifiedProcedureStepPerformedProcedureSequence
    outputs = performed.OutputInformationSequence
    listed = {one.ReferencedSOPInstanceUID for o in outputs for one in o.ReferencedSOPSequence}
    (job,) = house.ledger.find_jobs(study)
    assert listed == {one.sop_instance_uid for one in house.ledger.find_objects(job.id)}
    assert len(listed) == 2
    assert listed <= set(house.pacs.held)


def test_a_request_to_cancel_stops_the_worker_and_the_pacs_gets_nothing(house, web, make_study):
    study, slices, files = make_study()
    house.wait_file.write_text("60")
    channel = push(web, study, slices, "1.2.826.2")
    house.send(files)
    house.wait_until(lambda: find_state(web, "1.2.826.2") == "IN PROGRESS", 60)
    assert web.post("/workitems/1.2.826.2/cancelrequest").status_code == 202
    states, _ = hear_until(channel, "CANCELED")
    house.wait_file.unlink()
    assert states[-1] == "CANCELED"
    (job,) = house.finish(study)
    assert job.state == State.CANCELED
    assert house.received(study) == []
    told = read(web, "1.2.826.2").ProcedureStepProgressInformationSequence[0]
    assert told.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
