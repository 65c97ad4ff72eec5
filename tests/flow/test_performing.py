"""A whole node performs for a manager that is not ours: it is told, claims, fetches the images, reads them and answers,
though its keeper is killed in between."""

import pytest
from pydicom import Dataset

from tests.flow.house import House
from tests.managers import PlainDoor, managing
from tests.node.inbound.test_gather import OddArchive
from tests.workitems import make_code

UID = "1.2.826.4.1"
MORE = """
[peers.odd]
ae_title = "ODD"
address = "127.0.0.1:{archive}"
query = true
retrieve = "get"
[peers.boss]
ae_title = "BOSS"
address = "{boss}"
perform = {{ how = "subscribe", every = "PT5S" }}
"""


def refer(slices):
    item = Dataset()
    item.TypeOfInstances, item.StudyInstanceUID = "DICOM", slices[0].StudyInstanceUID
    item.SeriesInstanceUID, item.ReferencedSOPSequence = slices[0].SeriesInstanceUID, []
    for one in slices:
        item.ReferencedSOPSequence.append(Dataset())
        item.ReferencedSOPSequence[-1].ReferencedSOPClassUID = one.SOPClassUID
        item.ReferencedSOPSequence[-1].ReferencedSOPInstanceUID = one.SOPInstanceUID
    item.DICOMRetrievalSequence = [Dataset()]
    item.DICOMRetrievalSequence[0].RetrieveAETitle = "ODD"
    return item


@pytest.fixture
def stage(tmp_path, make_study):
    """(house, manager, slices): the images lie at an archive, the manager knows of them."""
    _, slices, _ = make_study()
    house, archive = House(tmp_path), OddArchive(slices)
    with managing(PlainDoor, tmp_path, house.door) as manager:
        with house.config.open("a") as file:
            file.write(MORE.format(archive=archive.port, boss=manager.peer["address"]))
        house.start()
        yield house, manager, slices
        house.close()
    archive.stop()


def test_a_node_that_is_told_of_a_workitem_answers_it_though_its_keeper_dies(stage):
    house, manager, slices = stage
    house.wait_file.write_text("60")
    house.wait_until(lambda: manager.subscribed, 60)
    manager.create(
        UID,
        InputInformationSequence=[refer(slices)],
        ScheduledWorkitemCodeSequence=[make_code("threshold", "99WETREAD", "threshold")],
        StudyInstanceUID=slices[0].StudyInstanceUID,
    )
    house.wait_until(lambda: manager.claims.get(UID), 60)
    house.kill("node.cli keep")
    house.wait_until(lambda: house.ledger.find_jobs(slices[0].StudyInstanceUID), 60)
    house.kill("node.cli keep")
    house.wait_file.unlink()
    house.wait_until(lambda: manager.read(UID).ProcedureStepState == "COMPLETED", 120)
    (job,) = house.ledger.find_jobs(slices[0].StudyInstanceUID)
    (performed,) = manager.read(UID).UnifiedProcedureStepPerformedProcedureSequence
    listed = {o.ReferencedSOPInstanceUID for s in performed.OutputInformationSequence for o in s.ReferencedSOPSequence}
    assert listed == {one.sop_instance_uid for one in house.ledger.find_objects(job.id)}
    assert listed <= set(house.pacs.held)
    assert len(manager.claims[UID]) == 1
