"""follow-up as a job: two studies of one patient through files, ledger and gate, to the objects in the outbox."""

import time
from dataclasses import replace

import numpy as np
import pytest

from node.dicom.stacking import read_stacks
from node.model.delivery import Kind
from node.model.job import Gathering, State
from node.sections import Peer, Pipeline
from tests.jobs import JOB
from tests.pipelines.chest import make_chest
from tests.pipelines.registration.volumes import make_motion
from tests.series import make_series
from workers.context import Surroundings
from workers.hands import Hands
from workers.warm import Warm

SPACING = (5.0, 2.5, 2.5)
MOTION = make_motion((0, 0, 0), (12.0, -8.0, 400.0))
FIRST = replace(JOB, route="first", pipeline="spots", deliver=(), series_uids=(), created_at=time.time())
SECOND = replace(FIRST, id="1" * 32, route="second", pipeline="follow-up", after=FIRST.id)
EARLIER = replace(FIRST, id="2" * 32, study_uid="1.2.7.1")
PRIOR = {"StudyInstanceUID": "1.2.7.1", "SeriesInstanceUID": "1.2.7.2", "FrameOfReferenceUID": "1.2.7.3",
         "StudyDate": "20231103"}  # fmt: skip


def make_study(balls, shift=(0.0, 0.0, 0.0), **changes):
    """A chest with balls (center z, y, x and radius in mm) of 1500 HU in it."""
    volume, _, _ = make_chest(SPACING, (180.0, 260.0, 380.0))
    voxels = volume.voxels.copy()
    z, y, x = (step * axis for step, axis in zip(SPACING, np.ogrid[tuple(map(slice, volume.shape))], strict=True))
    voxels[(np.abs(x - 80 - 0.64 * z) < 12) & (np.abs(y - 180 + 0.24 * z) < 12)] = 600
    for (high, back, left), radius in balls:
        voxels[(z - high) ** 2 + (y - back) ** 2 + (x - left) ** 2 <= radius**2] = 1500
    stored = np.round(voxels + 1024).astype(np.int16)
    origin = volume.affine[:3, 3] + np.array(shift)
    return make_series(spacing=SPACING, origin=origin, voxels=stored, BodyPartExamined="CHEST", **changes)


@pytest.fixture(scope="module")
def studies():
    uid = {"StudyInstanceUID": JOB.study_uid, "SeriesInstanceUID": "1.2.3.9"}
    now = make_study([((150, 120, 100), 16), ((100, 140, 280), 11)], **uid)
    before = make_study([((150, 120, 100), 12), ((70, 120, 112), 11)], shift=MOTION[:3, 3], **PRIOR)
    return now, before


def numbers_of(report):
    """Concept -> value of every number in the report."""
    return {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in walk(report)
        if item.get("ValueType") == "NUM"
    }


def walk(item):
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk(child)


def texts_of(report):
    return [item.TextValue for item in walk(report) if item.get("ValueType") == "TEXT"]


def codes_of(report):
    return [item.ConceptCodeSequence[0].CodeValue for item in walk(report) if item.get("ValueType") == "CODE"]


def test_what_grew_keeps_the_uid_of_the_earlier_report_and_the_registration_goes_out(node, studies):
    now, before = studies
    node.keep([*before, *now])
    (earlier,) = node.run(EARLIER)
    first, second = node.run(FIRST, replace(SECOND, priors=("1.2.7.1",), gathering=Gathering.DONE, deliver=("pacs",)))
    assert (earlier.state, first.state, second.state) == (State.ENCODED,) * 3, second.reason
    old, new = node.read(earlier, "SEG"), node.read(second, "SEG")
    own = node.read(first, "SEG")
    assert [item.TrackingUID for item in new.SegmentSequence] == [
        old.SegmentSequence[0].TrackingUID, own.SegmentSequence[1].TrackingUID,
    ]  # fmt: skip
    report = node.read(second, "SR")
    said = numbers_of(report)
    grown = said.get("118565006", 0)
    assert grown > 0
    assert said["FU-DAYS"] == 60
    assert 40 < said["FU-VDT"] < 60
    assert {"15454001", "FU-NEW", "FU-GONE"} <= set(codes_of(report))
    gone = old.SegmentSequence[1].TrackingUID
    assert gone in [item.UID for item in walk(report) if item.get("ValueType") == "UIDREF"]
    assert any("Compared with a study of 60 days before" in text for text in texts_of(report))
    assert not any("2023" in text for text in texts_of(report))
    rigid = next(one for one in node.read_all(second, "REG") if "RegistrationSequence" in one)
    matrix = rigid.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
    found = np.array(matrix.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    assert np.abs(found @ MOTION - np.eye(4))[:3].max() < 2.0
    kinds = {item.kind for item in node.ledger.find_objects(second.id)}
    assert kinds == {Kind.SEGMENTATION, Kind.REPORT, Kind.REGISTRATION}


def test_in_a_prior_that_the_node_never_read_the_same_model_looks_now(node, studies):
    now, before = studies
    node.keep([*before, *now])
    node.run(FIRST)
    (stack,), _ = read_stacks([node.settings.spool / "kept" / f"{ds.SOPInstanceUID}.dcm" for ds in now])
    job = replace(SECOND, priors=("1.2.7.1",), gathering=Gathering.DONE)
    around = Surroundings(job, node.settings, node.ledger, stack, Warm("cpu"))
    context = around.make()
    (prior,) = context.priors
    assert context.is_complete
    assert (len(context.before), prior.days_before, prior.before()) == (2, 60, None)
    assert prior.load().shape == studies_shape(before)
    found = prior.before()
    assert sorted(found) == ["nodule-1", "nodule-2"]
    assert all(segment.tracking is None for segment in found.values())
    assert around.notes == [
        "spots was run on the earlier study now: nothing was found there under an earlier tracking uid."
    ]
    assert around.make() is context
    assert prior.load().shape == studies_shape(before)
    assert [one.study_uid for one in around.stacks] == ["1.2.7.1"]


def studies_shape(slices):
    return (len(slices), slices[0].Rows, slices[0].Columns)


def test_its_map_and_its_numbers_go_out_with_it_and_the_answer_stays(node, studies):
    now, before = studies
    node.keep([*before, *now])
    objects = ["segmentation", "report", "registration", "map", "capture"]
    peer = Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", "objects": objects})
    chosen = {"pipelines": {"follow-up": Pipeline(explain="consistency")}, "peers": {"pacs": peer}}
    node.settings = node.settings.model_copy(update=chosen)
    node.hands = Hands(node.settings)
    _, second = node.run(FIRST, replace(SECOND, priors=("1.2.7.1",), gathering=Gathering.DONE, deliver=("pacs",)))
    assert second.state == State.ENCODED, second.reason
    (scalars,) = [one for one in node.read_all(second, "CT") if "FloatPixelData" in one]
    assert scalars.FloatPixelPaddingValue == -1.0
    values = np.frombuffer(scalars.FloatPixelData, "<f4").reshape(studies_shape(now))
    mapping = scalars.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    known = values[values != -1]
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == known.min() >= 0
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == known.max()
    report = node.read(second, "SR")
    assert {"15454001", "FU-NEW", "FU-GONE", "BOTHWAYS"} <= set(codes_of(report))
    assert 0 <= numbers_of(report)["INVERSEERROR"] < 3
    assert any(text.startswith("Inverse consistency") or "Inverse consistency:" in text for text in texts_of(report))
    kinds = {item.kind for item in node.ledger.find_objects(second.id)}
    assert kinds == {Kind.SEGMENTATION, Kind.REPORT, Kind.REGISTRATION, Kind.MAP, Kind.CAPTURE}


def test_without_a_prior_it_did_not_run_and_the_report_says_why(node, studies):
    node.keep(studies[0])
    _, second = node.run(FIRST, SECOND)
    assert second.state == State.FAILED
    assert second.reason.startswith("PriorMissing: follow-up compares with an earlier study; its route gathers none")
    report = node.read(second, "SR")
    assert "111245" in codes_of(report)
    assert "R117" in codes_of(report)
