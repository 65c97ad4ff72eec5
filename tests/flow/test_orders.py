"""The whole path with what surrounds it: the order asked for, the modality's word, and who is told of the results."""

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE

from node.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP as STEP
from node.model.job import Priority, State
from node.outbound.reactor import hold_reactor
from tests.flow.house import House
from tests.node.inbound.test_performed_steps import make_change, make_step
from tests.node.orders.servers import TITLE, make_entry, wlmscpfs
from tests.node.outbound.test_notify import Office

SECTIONS = """
[peers.ris]
ae_title = "{title}"
address = "127.0.0.1:{worklist}"
worklist = true
[peers.office]
ae_title = "OFFICE"
address = "127.0.0.1:{office}"
availability = true
[orders]
wait = "PT60S"
"""


@pytest.fixture
def office():
    return Office(0x0000)


@pytest.fixture
def ward(tmp_path, office):
    """A running node with a worklist that knows accession number A-1, and a peer that is told of results."""
    with wlmscpfs(tmp_path / "ris", make_entry()) as worklist, office.serving() as port:
        (tmp_path / "node").mkdir()
        house = House(tmp_path / "node")
        sections = SECTIONS.format(title=TITLE, worklist=worklist, office=port)
        house.config.write_text(house.config.read_text() + sections)
        house.start()
        yield house
        house.close()


def test_an_order_gives_its_priority_its_step_closes_the_study_and_the_results_are_told(ward, office, make_study):
    study, slices, files = make_study()
    made = [(ds.SOPClassUID, ds.SOPInstanceUID) for ds in slices]
    line = call(ward.door)
    uid = str(generate_uid(prefix=None))
    assert ask(line, "send_n_create", make_step(studies=(study,)), STEP, uid) == 0x0000
    ward.send(files)
    ward.wait_until(lambda: "in progress" in find_waits(ward, study), 20)
    assert ask(line, "send_n_set", to_change(made), STEP, uid) == 0x0000
    line.release()
    (job,) = ward.finish(study)
    assert (job.state, job.priority) == (State.CONFIRMED, Priority.STAT)
    closed = next(one for one in ward.ledger.find_studies() if one.study_uid == study)
    assert closed.evidence.startswith(f"complete: all {len(files)} instances announced are here")
    seg, report = (dcmread(path) for path in ward.received(study))
    assert seg.RequestAttributesSequence[0].RequestedProcedureDescription == "CT Thorax für Müller"
    assert report.ReferencedRequestSequence[0].PlacerOrderNumberImagingServiceRequest == "PL1"
    ward.wait_until(lambda: office.came, 20)
    ((_, notice),) = office.came
    told = {item.ReferencedSOPInstanceUID for one in notice.ReferencedSeriesSequence for item in one[0x00081199]}
    assert told == {seg.SOPInstanceUID, report.SOPInstanceUID}
    assert not [word for word in ("Müller", "PL1", "Cough", "A-1", "P-1") if word in ward.log_tail()]


def find_waits(house, study):
    return next((one.waits for one in house.ledger.find_studies() if one.study_uid == study), "")


def to_change(made):
    change = make_change("COMPLETED", *range(len(made)))
    for item, (kind, uid) in zip(change.PerformedSeriesSequence[0].ReferencedImageSequence, made, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
    return change


def call(port):
    entity = AE("CT1")
    entity.add_requested_context(STEP)
    line = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert line.is_established
    return line


def ask(line, verb, *words):
    with hold_reactor(line):
        return getattr(line, verb)(*words)[0].Status
