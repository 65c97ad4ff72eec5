"""Pixels that surely show another region keep images out, whatever the header says; unsure ones keep nothing out."""

import time
from dataclasses import replace

import numpy as np
import pytest

from node.dicom.find_stack import find_stack
from node.dicom.read_report import find_refusal_reason
from node.dicom.volume import load_volume
from node.errors import WrongBodyPart
from node.model.job import State
from pipelines.terms import Requires, get_manifest
from tests.jobs import JOB
from tests.pipelines.chest import make_chest
from tests.pipelines.heads import make_ct_head
from tests.series import make_series, write_series
from workers.look import check_pixels
from workers.tryout import try_out

CHEST = Requires("CT", body_parts=("CHEST", "LUNG"))
NECK = Requires("CT", body_parts=("NECK",))
KNEE = Requires("CT", body_parts=("KNEE",))


def check(volume, requires, **changes):
    stored = (volume.voxels + 1024).clip(0, 4000).astype(np.int16)
    spacing = tuple(float(step) for step in volume.spacing)
    slices = make_series(spacing=spacing, origin=volume.affine[:3, 3], voxels=stored, **changes)
    return slices, requires


@pytest.fixture
def look(tmp_path):
    def run(volume, requires, **changes):
        slices, _ = check(volume, requires, **changes)
        stack, _ = find_stack(write_series(slices, tmp_path), get_manifest("series-kind"))
        check_pixels(stack, load_volume(stack), requires)

    return run


@pytest.mark.parametrize(("said", "named"), [("CHEST", "CHEST"), ("", "nothing")])
def test_a_head_under_the_name_of_a_chest_or_under_none_is_refused_by_name(look, said, named):
    with pytest.raises(WrongBodyPart, match=f"header names {named} as its body part, but its pixels show a head"):
        look(make_ct_head(), CHEST, BodyPartExamined=said)


def test_a_chest_is_no_knee(look):
    with pytest.raises(WrongBodyPart, match="pixels show a chest"):
        look(make_chest()[0], KNEE, BodyPartExamined="KNEE")


@pytest.mark.parametrize(
    ("volume", "requires"),
    [
        (make_chest()[0], CHEST),
        (make_chest(lungs=False)[0], CHEST),
        (make_chest(lungs=False)[0], KNEE),
        (make_chest()[0], NECK),
        (make_ct_head(), NECK),
        (make_ct_head(), Requires("CT")),
    ],
    ids=["as said", "no air", "unsure", "beside a chest", "beside a head", "any region"],
)
def test_what_may_be_right_is_let_through(look, volume, requires):
    look(volume, requires)


def test_a_pipeline_that_is_tried_out_is_kept_from_a_head_that_calls_itself_a_chest(tmp_path):
    slices, _ = check(make_ct_head(), CHEST, BodyPartExamined="CHEST")
    write_series(slices, tmp_path / "study")
    with pytest.raises(WrongBodyPart):
        try_out("lung-seg", tmp_path / "study", tmp_path, "cpu")


@pytest.mark.parametrize("image_type", [["ORIGINAL", "PRIMARY", "LOCALIZER"], ["DERIVED", "SECONDARY", "MPR"]])
def test_a_single_plane_and_a_localizer_get_a_kind(tmp_path, image_type):
    slices = make_series((1, 40, 40), ImageType=image_type)
    write_series(slices, tmp_path / "study")
    said = try_out("series-kind", tmp_path / "study", tmp_path / "out", "cpu")
    role = "Localizer" if "LOCALIZER" in image_type else "Derived"
    assert f"How the images came to be: {role}" in said["findings"][0]["values"]
    assert (tmp_path / "out" / "series-kind.png").is_file()


def make_job(pipeline):
    return replace(JOB, pipeline=pipeline, deliver=(), series_uids=(), created_at=time.time())


def test_a_job_on_a_head_that_calls_itself_a_chest_fails_by_name_with_a_coded_reason(node):
    slices, _ = check(make_ct_head(), CHEST, BodyPartExamined="CHEST", StudyInstanceUID=JOB.study_uid)
    node.keep(slices)
    (job,) = node.run(make_job("lung-seg"))
    assert (job.state, job.reason.split(":")[0]) == (State.FAILED, "WrongBodyPart")
    assert find_refusal_reason(node.read(job, "SR")).value == "R104"


def test_a_job_on_a_localizer_gets_its_kind_in_a_report(node):
    image_type = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    node.keep(make_series((1, 40, 40), ImageType=image_type, StudyInstanceUID=JOB.study_uid))
    (job,) = node.run(make_job("series-kind"))
    assert job.state == State.ENCODED, job.reason
    assert "121311" in {item.value for item in node.read(job, "SR").iterall() if item.keyword == "CodeValue"}
