"""The lung pipeline on real chests; the folder is named by WETREAD_TEST_DATA."""

import numpy as np
import pytest
import torch

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from pipelines.catalog import get_pipeline
from pipelines.terms import Volume


def run(volume):
    torch.set_num_threads(2)
    return get_pipeline("lung-seg").load("cpu").run(volume, lambda done, activity: None)


def get_volumes(result):
    return {
        finding.key: measurement.value
        for finding in result.findings
        for measurement in finding.measurements
        if measurement.concept.value == "118565006"
    }


@pytest.fixture(scope="module")
def chest(real_data):
    (stack,), _ = read_stacks(sorted((real_data / "ct_chest_LungDx_A0001" / "series3_soft_kernel").rglob("*.dcm")))
    return load_volume(stack)


@pytest.fixture(scope="module")
def answer(chest):
    return run(chest)


def test_a_whole_chest_has_two_lungs_of_plausible_size_and_density(answer):
    volumes = get_volumes(answer)
    assert 2900 < volumes["right-lung"] < 3500
    assert 2000 < volumes["left-lung"] < 2700
    for finding in answer.findings:
        values = {measurement.concept.value: measurement.value for measurement in finding.measurements}
        assert -880 < values["112031"] < -720
        assert 0 <= values["LAA950"] < 40


def test_the_right_lung_is_on_the_patients_right(answer, chest):
    middle = {}
    for segment in answer.segments:
        index = np.mean(np.nonzero(segment.mask[::4, ::8, ::8]), axis=1) * (4, 8, 8)
        middle[segment.key] = float((chest.affine @ (*index, 1))[0])
    assert middle["left-lung"] - middle["right-lung"] > 100


def test_the_same_chest_in_other_planes_has_the_same_lungs(answer, chest):
    flipped = chest.affine.copy()
    flipped[:3, 3] += chest.affine[:3, 0] * (chest.shape[0] - 1)
    flipped[:3, 0] *= -1
    turned = Volume(
        np.ascontiguousarray(chest.voxels[::-1].transpose(2, 0, 1)), flipped[:, [2, 0, 1, 3]], "1.2.3", "CT"
    )
    again = get_volumes(run(turned))
    for key, value in get_volumes(answer).items():
        assert again[key] == pytest.approx(value, rel=0.015)


def test_a_circle_of_view_keeps_the_lungs_that_it_cuts(answer, chest):
    j, i = np.ogrid[: chest.shape[1], : chest.shape[2]]
    beyond = (j - 250) ** 2 + (i - 256) ** 2 > 150**2
    voxels = np.where(beyond, np.float32(-1024), chest.voxels)
    result = run(Volume(voxels, chest.affine, "1.2.3", "CT"))
    for segment, whole in zip(result.segments, answer.segments, strict=True):
        expected = whole.mask & ~beyond
        assert 2 * (segment.mask & expected).sum() / (segment.mask.sum() + expected.sum()) > 0.93
    assert any("The image ends in lung" in note.text for note in result.notes)


def test_a_head_has_no_lungs(real_data):
    paths = sorted((real_data / "mr_brain_VS-SEG-001").rglob("*.dcm"))
    (stack, *_), _ = read_stacks(paths)
    head = load_volume(stack)
    # A head MR in the guise of a CT: soft tissue in air, cavities inside, no chest.
    tissue = np.clip(head.voxels / np.percentile(head.voxels, 99), 0, 1)
    hu = np.where(tissue > 0.2, tissue * 120 - 40, -1000).astype(np.float32)
    assert not run(Volume(hu, head.affine, "1.2.3", "CT")).is_positive
