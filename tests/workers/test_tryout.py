"""A pipeline on a folder, without a node: there is always a picture; one that compares is tried on two."""

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from node.model.job import State
from pipelines.errors import MissingInputs, UnknownPipeline
from tests.jobs import JOB
from tests.series import make_series, write_series
from workers.tryout import try_out

SHAPE = (20, 40, 40)


def make_study(folder, **changes):
    voxels = np.zeros(SHAPE, np.int16)
    voxels[5:12, 10:20, 15:30] = 2000
    return write_series(make_series(SHAPE, voxels=voxels, **changes), folder).pop().parent


@pytest.mark.usefixtures("node")
def test_it_is_told_the_age_of_the_earlier_study_and_what_the_pipeline_before_finds(tmp_path):
    now = make_study(tmp_path / "now")
    earlier = make_study(tmp_path / "earlier", StudyDate="20231203", StudyInstanceUID="1.2.7")
    said = try_out("companion", now, tmp_path / "out", "cpu", earlier, "threshold")
    assert [finding["what"] for finding in said["findings"]] == ["Bright", "Prior study"]
    assert said["findings"][1]["values"][0] == "Length of time 30 d"
    assert said["picture"].endswith("companion.png")
    alone = try_out("companion", now, tmp_path / "out", "cpu", None, "threshold")
    assert [finding["what"] for finding in alone["findings"]] == ["Bright"]


@pytest.mark.usefixtures("node")
def test_follow_up_of_one_study_says_that_it_compares_two(tmp_path):
    now = make_study(tmp_path / "now", spacing=(4.0, 2.0, 2.0), BodyPartExamined="CHEST")
    with pytest.raises(MissingInputs, match="compares two studies"):
        try_out("follow-up", now, tmp_path / "out", "cpu")


@pytest.mark.parametrize("names", [("lung-sge", ""), ("lung-seg", "lung-sge")])
def test_a_name_that_is_none_is_told_with_those_that_are(names, tmp_path):
    with pytest.raises(UnknownPipeline, match=r"no pipeline 'lung-sge' is installed; there are: .*lung-seg"):
        try_out(names[0], tmp_path, tmp_path / "out", "cpu", None, names[1])


def test_images_of_a_tilted_gantry_get_a_picture_too(plugin, tmp_path):
    manifest = plugin / "bright_bone" / "manifest.toml"
    manifest.write_text(manifest.read_text() + "max_tilt_degrees = 30.0\n")
    voxels = np.full((8, 20, 20), 1024, np.int16)
    voxels[2:5, 5:12, 5:12] = 2000
    write_series(make_series(voxels=voxels, step=(0.0, 0.5, 1.5)), tmp_path / "study")
    said = try_out("bright-bone", tmp_path / "study", tmp_path / "out", "cpu")
    assert said["findings"][0]["present"]
    assert Image.open(said["picture"]).size[0] > 500


def test_a_picture_is_there_where_nothing_was_found(plugin, tmp_path):
    write_series(make_series((5, 20, 20), voxels=np.full((5, 20, 20), 1064, np.int16)), tmp_path / "study")
    said = try_out("bright-bone", tmp_path / "study", tmp_path / "out", "cpu")
    assert not said["findings"][0]["present"]
    assert Image.open(said["picture"]).size[0] > 500


def test_a_pipeline_just_begun_answers_a_job(plugin, node):
    voxels = np.full((6, 20, 20), 1024, np.int16)
    voxels[2:5, 5:12, 5:12] = 2000
    node.keep(make_series(voxels=voxels, StudyInstanceUID=JOB.study_uid))
    job = replace(JOB, pipeline="bright-bone", deliver=(), series_uids=(), created_at=time.time())
    (job,) = node.run(job)
    assert job.state == State.ENCODED, job.reason
    assert node.read(job, "SEG").pixel_array.sum() == 3 * 7 * 7
