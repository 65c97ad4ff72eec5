"""The brain's outline: pinned weights, any orientation, honest about what is cut or no head at all."""

import sys
from itertools import permutations, product

import numpy as np
import pytest
import torch

from node.demo.head import find_template, make_head
from node.errors import ConfigError
from pipelines.brain_extract.chain import find_box, widen
from pipelines.brain_extract.orient import find_turn
from pipelines.brain_extract.pipeline import describe, pipeline
from pipelines.brain_extract.plausible import find_cuts, measure_rim
from pipelines.brain_extract.weights import DIGESTS, INSTALL, combine_digests, find_weights, load_networks
from pipelines.catalog import get_pipeline
from pipelines.errors import UnsuitableVolume, WeightsMismatch, WeightsMissing
from pipelines.terms import Volume

RAS_AFFINE = np.array([[-1.0, 0, 0, 40], [0, -1.2, 0, 30], [0, 0, 2.5, -20], [0, 0, 0, 1]])
"""Index (x, y, z) to the right, front and head -> LPS mm."""


def quiet(share, activity):
    """Progress that nobody watches."""


def make_volume(voxels, affine):
    return Volume(np.ascontiguousarray(voxels, dtype=np.float32), affine, "1.2.3", "MR")


def turn_volume(voxels, affine, axes, flips):
    """The same picture with its axes in another order, some of them backward; and how to turn a mask back."""
    turned, moved = voxels.transpose(axes), affine.copy()
    moved[:3, :3] = affine[:3, list(axes)]
    for axis in flips:
        moved[:3, 3] += moved[:3, axis] * (turned.shape[axis] - 1)
        moved[:3, axis] *= -1
        turned = np.flip(turned, axis)
    return make_volume(turned, moved), lambda mask: np.flip(mask, flips).transpose(np.argsort(axes))


def volume_of(result):
    (finding,) = result.findings
    (measurement,) = finding.measurements
    return measurement.value


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.fixture(scope="module")
def weights():
    try:
        return find_weights()
    except WeightsMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model(weights):
    return pipeline.load("cpu")


@pytest.fixture(scope="module")
def head():
    try:
        return make_head(find_template())
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def outlined(model, head):
    told = []
    result = model.run(make_volume(head.voxels, head.affine), lambda share, activity: told.append(share))
    return result, told


def test_the_manifest_pins_both_networks():
    assert pipeline.manifest.weights_sha256 == combine_digests(DIGESTS)
    assert get_pipeline("brain-extract") is pipeline


def test_other_digests_make_another_pin():
    swapped = dict(zip(DIGESTS, reversed(DIGESTS.values()), strict=True))
    assert combine_digests(swapped) != combine_digests(DIGESTS)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_changed_network_is_refused_by_name(weights, tmp_path, name):
    content = bytearray(weights[name].read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / name
    changed.write_bytes(content)
    with pytest.raises(WeightsMismatch, match=f"^{name} of deepbet"):
        load_networks({**weights, name: changed}, "cpu")


def test_a_file_that_is_no_network_is_refused_before_it_is_parsed(weights, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"not TorchScript")
    with pytest.raises(WeightsMismatch, match=r"^model\.pt"):
        load_networks({**weights, "model.pt": tmp_path / "model.pt"}, "cpu")


def test_absent_weights_say_how_to_install_them(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(WeightsMissing) as refusal:
        find_weights()
    assert INSTALL in str(refusal.value)


def test_a_wheel_without_its_networks_is_named(monkeypatch, tmp_path):
    (tmp_path / "deepbet-1.0.2.dist-info").mkdir()
    (tmp_path / "deepbet-1.0.2.dist-info" / "METADATA").write_text("Name: deepbet\nVersion: 1.0.2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(WeightsMissing, match=r"without bbox_model\.pt"):
        find_weights()


def test_each_of_48_ways_to_store_a_volume_turns_to_the_same_head_and_back():
    picture = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    ways = list(product(permutations(range(3)), product((False, True), repeat=3)))
    assert len(ways) == 48
    for axes, backward in ways:
        flips = tuple(axis for axis, flip in enumerate(backward) if flip)
        volume, back = turn_volume(picture, RAS_AFFINE, axes, flips)
        turn = find_turn(volume.affine)
        np.testing.assert_array_equal(turn.apply(volume.voxels), picture)
        np.testing.assert_array_equal(back(turn.undo(picture > 20)), picture > 20)


def test_an_oblique_volume_is_turned_by_its_nearest_axes():
    angle = np.deg2rad(30)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert find_turn(tilt @ RAS_AFFINE) == find_turn(RAS_AFFINE)


def test_a_box_has_room_around_the_brain_and_stays_in_the_volume():
    coarse = torch.zeros(128, 128, 128, dtype=torch.bool)
    coarse[32:96, 0:64, 60:100] = True
    coarse[2, 120, 3] = True  # a stray voxel
    x, y, z = find_box(coarse, (256, 128, 64))
    assert (x.start, x.stop) == (51, 205)
    assert (y.start, y.stop) == (0, 70)
    assert (z.start, z.stop) == (28, 52)


def test_no_brain_in_the_coarse_mask_makes_no_box():
    assert find_box(torch.zeros(8, 8, 8, dtype=torch.bool), (16, 16, 16)) is None


def test_a_box_is_widened_only_where_the_brain_runs_into_it():
    part = np.zeros((10, 10, 10), dtype=bool)
    part[0:5, 4:6, 4:10] = True
    box = (slice(5, 15), slice(5, 15), slice(5, 15))
    x, y, z = widen(box, part, (30, 30, 16))
    assert (x, y, z) == (slice(2, 15), slice(5, 15), slice(5, 16))


def test_a_cut_is_named_by_the_side_of_the_patient_however_the_volume_is_stored():
    mask = np.zeros((30, 30, 30), dtype=bool)
    mask[5:30, 5:25, 5:25] = True  # reaches the end of x, which is the right
    for axes, flips in (((0, 1, 2), ()), ((2, 1, 0), (2,)), ((1, 2, 0), (0, 1, 2))):
        volume, _ = turn_volume(mask.astype(np.float32), RAS_AFFINE, axes, flips)
        assert find_cuts(volume.voxels > 0, volume) == ("right",)


def test_a_brain_wholly_in_view_is_not_cut():
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[1:19, 1:19, 1:19] = True
    assert find_cuts(mask, make_volume(mask, RAS_AFFINE)) == ()


def test_a_skull_makes_a_dark_rim_and_noise_none():
    rng = np.random.default_rng(3)
    k, j, i = np.indices((60, 60, 60)) - 30
    away = np.sqrt(k**2 + j**2 + i**2)
    noise = rng.normal(100, 10, away.shape)
    head = np.where((away > 20) & (away < 25), 10, noise)
    assert measure_rim(away < 20, make_volume(head, np.eye(4))) < 0.3
    assert measure_rim(away < 20, make_volume(noise, np.eye(4))) > 0.8


def test_an_outline_in_noise_is_no_brain():
    k, j, i = np.indices((80, 80, 80)) - 40
    mask = np.sqrt(k**2 + j**2 + i**2) < 35
    volume = make_volume(np.random.default_rng(4).normal(100, 10, mask.shape), np.eye(4))
    with pytest.raises(UnsuitableVolume, match="dark border"):
        describe(mask, volume, 0.0)


def test_less_than_a_brain_is_told_as_absent():
    mask = np.zeros((50, 50, 50), dtype=bool)
    mask[10:30, 10:30, 10:30] = True  # 8 mL
    result = describe(mask, make_volume(np.random.default_rng(5).random(mask.shape), np.eye(4)), 0.0)
    assert not result.is_positive
    assert result.segments == ()
    assert result.findings[0].absent


def test_a_volume_that_is_all_alike_is_refused(model):
    with pytest.raises(UnsuitableVolume, match="alike"):
        model.run(make_volume(np.full((12, 12, 12), 7), np.eye(4)), quiet)


def test_a_volume_with_voxels_that_are_no_numbers_is_refused(model):
    voxels = np.random.default_rng(6).random((12, 12, 12))
    voxels[3, 4, 5] = np.nan
    with pytest.raises(UnsuitableVolume, match="not finite"):
        model.run(make_volume(voxels, np.eye(4)), quiet)


def test_the_brain_in_the_made_head_is_found(outlined, head):
    result, told = outlined
    (segment,) = result.segments
    assert segment.key == "brain"
    assert segment.mask.shape == head.voxels.shape
    assert dice(segment.mask, head.brain) > 0.97
    assert volume_of(result) == pytest.approx(np.count_nonzero(segment.mask) / 1000)
    assert volume_of(result) == pytest.approx(head.brain_ml, rel=0.05)
    assert [note.text for note in result.notes] == [
        "The outline includes the ventricles and the fluid between the gyri."
    ]
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_sagittal_left_handed_copy_of_the_head_has_the_same_brain(outlined, head, model):
    volume, back = turn_volume(head.voxels, head.affine, (2, 0, 1), (0,))
    assert np.linalg.det(volume.affine[:3, :3]) * np.linalg.det(head.affine[:3, :3]) < 0
    turned = model.run(volume, quiet)
    assert volume_of(turned) == pytest.approx(volume_of(outlined[0]), rel=0.01)
    assert dice(back(turned.segments[0].mask), outlined[0].segments[0].mask) > 0.99


@pytest.fixture(scope="module")
def patient(real_data):
    from node.dicom.stacking import read_stacks
    from node.dicom.volume import load_volume

    (stack,), _ = read_stacks(sorted((real_data / "mr_brain_VS-SEG-001").glob("*.dcm")))
    return load_volume(stack)


def test_a_patients_brain_has_a_plausible_volume_and_is_whole(model, patient):
    result = model.run(patient, quiet)
    assert volume_of(result) == pytest.approx(1584, rel=0.02)
    assert not any("edge" in note.text for note in result.notes)


def test_a_patients_brain_in_thick_planes_cut_below_is_a_lower_bound(model, patient):
    planes = patient.voxels[45:].reshape(-1, 3, *patient.shape[1:]).mean(axis=1)
    affine = patient.affine.copy()
    affine[:3, 3] += affine[:3, 0] * 46
    affine[:3, 0] *= 3
    result = model.run(make_volume(planes[:, ::2, ::2], affine @ np.diag([1, 2, 2, 1])), quiet)
    assert 900 < volume_of(result) < 1400
    assert any("inferior edge" in note.text for note in result.notes)
