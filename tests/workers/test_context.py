"""A model that asks for it is told of priors and of what the job before found, through real files and a real ledger."""

import time
from dataclasses import replace

import numpy as np
import pytest
from pydicom.uid import generate_uid

from node.dicom.stacking import read_stacks
from node.model.job import Gathering, State
from tests.jobs import JOB
from tests.series import make_series
from workers.context import Surroundings

FIRST = replace(JOB, route="first", pipeline="threshold", deliver=(), series_uids=(), created_at=time.time())
SECOND = replace(FIRST, id="1" * 32, route="second", pipeline="companion", after=FIRST.id)


def bright_series(shape=(5, 16, 18), **changes):
    """A CT series with something brighter than 500 HU that touches no symmetry."""
    voxels = np.zeros(shape, np.int16)
    voxels[1:3, 2:9, 3:5] = voxels[2:5, 1:4, 4:11] = 2000
    uid = generate_uid(None)
    return make_series(shape, voxels=voxels, **{"StudyInstanceUID": JOB.study_uid, "SeriesInstanceUID": uid} | changes)


def masks_of(ds):
    """Mask by z position, of the one segment of a Segmentation."""
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    groups = ds.PerFrameFunctionalGroupsSequence
    return {
        round(float(g.PlanePositionSequence[0].ImagePositionPatient[2]), 3): f
        for g, f in zip(groups, frames, strict=True)
    }


def words_of(report):
    """Every text and every number of a report."""
    found = []
    for element in report.iterall():
        if element.keyword in {"TextValue", "NumericValue"}:
            found.append(str(element.value))
    return found


def test_a_job_gets_the_masks_of_the_one_that_it_comes_after_voxel_by_voxel(node):
    node.keep(bright_series())
    first, second = node.run(FIRST, SECOND)
    assert (first.state, second.state) == (State.ENCODED, State.ENCODED), second.reason
    before, after = node.read(first, "SEG"), node.read(second, "SEG")
    ours, theirs = masks_of(before), masks_of(after)
    assert len(ours) == 4
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[z], theirs[z]) for z in ours)
    assert sum(int(mask.sum()) for mask in ours.values()) > 80
    was, became = before.SegmentSequence[0], after.SegmentSequence[0]
    for keyword in ("SegmentLabel", "SegmentedPropertyTypeCodeSequence", "RecommendedDisplayCIELabValue"):
        assert was[keyword] == became[keyword]


def test_masks_follow_to_another_series_on_the_same_grid(node):
    one, other = bright_series(), bright_series(SeriesNumber=2)
    node.keep([*one, *other])
    chosen = (replace(FIRST, series_uids=(one[0].SeriesInstanceUID,)),)
    first, second = node.run(*chosen, replace(SECOND, series_uids=(other[0].SeriesInstanceUID,)))
    assert second.state == State.ENCODED, second.reason
    seg = node.read(second, "SEG")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == other[0].SeriesInstanceUID
    assert masks_of(seg).keys() == masks_of(node.read(first, "SEG")).keys()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"FrameOfReferenceUID": "1.2.3.99"}, "they lie in another frame of reference"),
        ({"shape": (5, 16, 20)}, "they lie on images of another matrix or orientation"),
        ({"spacing": (1.5, 0.9, 0.7)}, "they lie on images of another pixel spacing"),
        ({"origin": (-10.0, -20.0, 30.7)}, "they lie between the images"),
        ({"origin": (-9.0, -20.0, 30.0)}, "they lie between the images"),
    ],
)
def test_masks_on_another_grid_are_absent_and_the_report_says_so(node, changes, why):
    one, other = bright_series(), bright_series(**changes)
    node.keep([*one, *other])
    chosen = replace(FIRST, series_uids=(one[0].SeriesInstanceUID,))
    _, second = node.run(chosen, replace(SECOND, series_uids=(other[0].SeriesInstanceUID,)))
    assert second.state == State.ENCODED, second.reason
    assert [item.modality for item in node.ledger.find_objects(second.id)] == ["SR"]
    assert f"No masks of threshold were handed on: {why}." in words_of(node.read(second, "SR"))


def test_a_segmentation_that_is_damaged_or_gone_is_told_and_fails_nothing(node):
    node.keep(bright_series())
    (first,) = node.run(FIRST)
    (place,) = [item.path for item in node.ledger.find_objects(first.id) if item.modality == "SEG"]
    path = node.settings.outbox / place
    (stack,), _ = read_stacks(sorted((node.settings.spool / "kept").iterdir()))
    whole = path.read_bytes()
    for content, why in (
        (whole[:-200], "its Segmentation cannot be read (ValueError)"),
        (whole[:300], "its Segmentation cannot be read (AttributeError)"),
        (whole.replace(b"BINARY", b"FRACTN"), "it made no BINARY Segmentation"),
        (None, "its Segmentation is no longer there"),
    ):
        path.unlink() if content is None else path.write_bytes(content)
        around = Surroundings(SECOND, node.settings, node.ledger, stack)
        assert not around.make().before
        assert around.notes == [f"No masks of threshold were handed on: {why}."]


def test_a_job_is_told_the_age_of_its_priors_and_reads_their_images(node):
    newer = make_series(voxels=np.full((5, 16, 18), 1124, np.int16), StudyInstanceUID="1.2.7", StudyDate="20231203")
    older = make_series(voxels=np.full((4, 16, 18), 974, np.int16), StudyInstanceUID="1.2.8", StudyDate="20230102")
    node.keep([*newer, *older, *bright_series()])
    job = replace(FIRST, pipeline="companion", priors=("1.2.7", "1.2.8"), gathering=Gathering.DONE)
    (done,) = node.run(job)
    assert done.state == State.ENCODED, done.reason
    report = node.read(done, "SR")
    assert [float(e.value) for e in report.iterall() if e.keyword == "NumericValue"] == [30.0, 100.0, 365.0, -50.0]


def test_a_prior_that_does_not_suit_is_none_and_the_report_says_why(node):
    few = make_series((2, 16, 18), StudyInstanceUID="1.2.7", StudyDate="20221203")
    node.keep([*few, *bright_series()])
    (done,) = node.run(replace(FIRST, pipeline="companion", priors=("1.2.7",), gathering=Gathering.DONE))
    assert done.state == State.ENCODED, done.reason
    told = [text for text in words_of(node.read(done, "SR")) if text.startswith("The prior study")]
    assert len(told) == 1
    assert told[0].startswith("The prior study, 12 months before, was not read: ")
    assert "2022" not in told[0]


def test_nothing_of_a_prior_but_one_header_is_read_unless_it_is_asked_for(node):
    prior = node.keep(make_series(StudyInstanceUID="1.2.7", StudyDate="20231203"))
    now = node.keep(bright_series())
    (stack,), _ = read_stacks(now)
    for path in prior[1:]:
        path.unlink()
    job = replace(FIRST, pipeline="companion", priors=("1.2.7",), gathering=Gathering.DONE)
    around = Surroundings(job, node.settings, node.ledger, stack)
    (one,) = around.make().priors
    assert (one.days_before, around.notes) == (30, [])
    assert one.load() is None
    assert around.notes == ["The prior study, 4 weeks before, was not read: its images are no longer there."]


def test_a_model_that_asks_for_no_more_than_the_volume_costs_no_look_at_priors(node):
    for path in node.keep(make_series(StudyInstanceUID="1.2.7", StudyDate="20231203")):
        path.unlink()
    node.keep(bright_series())
    (done,) = node.run(replace(FIRST, priors=("1.2.7",), gathering=Gathering.DONE))
    assert done.state == State.ENCODED, done.reason
    assert not [text for text in words_of(node.read(done, "SR")) if "prior" in text]
