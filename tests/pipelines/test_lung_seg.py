import numpy as np
import pytest
import torch

from pipelines.catalog import get_pipeline
from pipelines.errors import UnsuitableVolume, WeightsMismatch
from pipelines.evaluation.dice import get_dice
from pipelines.lung_seg.findings import make_result
from pipelines.lung_seg.pipeline import LungSeg
from pipelines.lung_seg.sides import LEFT, RIGHT
from pipelines.pipeline import ContextModel
from pipelines.terms import Context, Kernel, Told, Volume
from tests.pipelines.chest import make_chest

NOBODY = lambda done, activity: None  # noqa: E731


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(2)
    return get_pipeline("lung-seg").load("cpu")


@pytest.fixture(scope="module")
def chest():
    return make_chest((5.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def answer(model, chest):
    return model.run(chest[0], NOBODY)


def get_masks(result):
    return {segment.key: segment.mask for segment in result.segments}


def get_values(result, key):
    finding = next(finding for finding in result.findings if finding.key == key)
    return {measurement.concept.value: measurement.value for measurement in finding.measurements}


def test_both_lungs_of_a_made_chest_are_found_on_their_sides(answer, chest):
    _, right, left = chest
    masks = get_masks(answer)
    assert get_dice(masks["right-lung"], right) > 0.9
    assert get_dice(masks["left-lung"], left) > 0.9


def test_numbers_are_those_of_the_masks(answer, chest):
    volume = chest[0]
    for key, mask in get_masks(answer).items():
        values = get_values(answer, key)
        assert values["118565006"] == pytest.approx(mask.sum() * volume.voxel_ml, abs=0.1)
        assert values["112031"] == pytest.approx(volume.voxels[mask].mean(), abs=0.1)
        assert values["LAA950"] == pytest.approx(100 * (volume.voxels[mask] < -950).mean(), abs=0.01)
    both = sum(get_values(answer, key)["118565006"] for key in get_masks(answer))
    assert get_values(answer, "lungs")["118565006"] == pytest.approx(both, abs=0.2)


def test_progress_runs_from_nothing_to_done(model, chest):
    calls = []
    slab = Volume(chest[0].voxels[20:28].copy(), chest[0].affine, "1.2.3", "CT")
    model.run(slab, lambda done, activity: calls.append((done, activity)))
    shares = [done for done, _ in calls]
    assert shares == sorted(shares)
    assert calls[0] == (0.0, "resample")
    assert calls[-1] == (1.0, "done")


def test_the_order_of_planes_and_the_cut_do_not_matter(model, chest, answer):
    volume = chest[0]
    reversed_affine = volume.affine.copy()
    reversed_affine[:3, 3] += volume.affine[:3, 0] * (volume.shape[0] - 1)
    reversed_affine[:3, 0] *= -1
    turned = volume.affine[:, [2, 0, 1, 3]]
    others = (
        Volume(volume.voxels[::-1].copy(), reversed_affine, "1.2.3", "CT"),
        Volume(np.ascontiguousarray(volume.voxels.transpose(2, 0, 1)), turned, "1.2.3", "CT"),
    )
    for other in others:
        result = model.run(other, NOBODY)
        for key in ("right-lung", "left-lung"):
            assert get_values(result, key)["118565006"] == pytest.approx(get_values(answer, key)["118565006"], rel=0.01)


def test_lungs_that_end_with_the_image_are_said_to_be_cut(model, chest):
    volume = chest[0]
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, 0] * 22
    slab = Volume(volume.voxels[22:34].copy(), affine, "1.2.3", "CT")
    result = model.run(slab, NOBODY)
    assert len(result.segments) == 2
    assert any("(top and bottom)" in note.text for note in result.notes)


def test_a_body_without_lungs_says_absent(model):
    volume, *_ = make_chest((5.0, 3.0, 3.0), lungs=False)
    result = model.run(volume, NOBODY)
    assert not result.segments
    assert [(finding.key, finding.absent) for finding in result.findings] == [("lungs", True)]


def test_a_water_phantom_has_no_lungs(model):
    hu = np.full((30, 100, 100), -1000, dtype=np.float32)
    j, i = np.ogrid[:100, :100]
    hu[:, (j - 50) ** 2 + (i - 50) ** 2 < 35**2] = 0
    hu[:, (j - 35) ** 2 + (i - 50) ** 2 < 4**2] = -1000
    hu += np.random.default_rng(1).normal(0, 8, hu.shape).astype(np.float32)
    result = model.run(Volume(hu, np.diag([5.0, 2.0, 2.0, 1.0])[:, [2, 1, 0, 3]], "1.2.3", "CT"), NOBODY)
    assert not result.is_positive


@pytest.mark.parametrize("fill", [np.nan, -1000.0, 100.0])
def test_what_is_no_image_is_unsuitable(model, fill):
    voxels = np.full((8, 20, 20), fill, dtype=np.float32)
    with pytest.raises(UnsuitableVolume):
        model.run(Volume(voxels, np.eye(4), "1.2.3", "CT"), NOBODY)


def test_another_modality_is_unsuitable(model, chest):
    volume = chest[0]
    with pytest.raises(UnsuitableVolume, match="MR"):
        model.run(Volume(volume.voxels, volume.affine, "1.2.3", "MR"), NOBODY)


def test_other_weights_than_the_pinned_are_refused(tmp_path, monkeypatch):
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    monkeypatch.setattr("pipelines.lung_seg.pipeline.HOME", tmp_path)
    with pytest.raises(WeightsMismatch):
        LungSeg().load("cpu")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told("CT", contrast=True), ["contrast agent"]),
        (Told("CT", kernel=Kernel.SHARP), ["sharp kernel"]),
        (Told("CT", contrast=False, kernel=Kernel.SOFT), []),
        (None, []),
    ],
)
def test_what_moves_density_is_noted(model, chest, answer, monkeypatch, told, words):
    monkeypatch.setattr(model, "run", lambda *_: answer)
    assert isinstance(model, ContextModel)
    notes = model.run_with(chest[0], Context(told=told), NOBODY).notes[len(answer.notes) :]
    assert [word in note.text for note, word in zip(notes, words, strict=True)] == [True] * len(words)


def test_one_lung_alone_has_no_sum_of_both_and_the_other_is_said_to_be_missing():
    mask = np.zeros((4, 6, 6), bool)
    mask[1:3, 2:4, 2:4] = True
    volume = Volume(np.full(mask.shape, -800.0, np.float32), np.eye(4)[[2, 1, 0, 3]], "1.2.3", "CT")
    one = make_result(volume, {RIGHT: mask}, (), {})
    assert [finding.key for finding in one.findings] == ["right-lung"]
    assert "No left lung was found." in [note.text for note in one.notes]
    both = make_result(volume, {RIGHT: mask, LEFT: np.roll(mask, 2, axis=2)}, (), {})
    assert [finding.key for finding in both.findings] == ["right-lung", "left-lung", "lungs"]
