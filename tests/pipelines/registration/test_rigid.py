"""A known motion is found again to the millimeter, in real and made volumes; what cannot be is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from pipelines.errors import NoOverlap, NotConverged, UnsuitableVolume
from pipelines.registration.prepare import prepare
from pipelines.registration.rigid import Rigid, check_rigid, register_rigid
from pipelines.terms import Volume
from tests.pipelines.chest import make_affine, make_chest
from tests.pipelines.registration.volumes import cut, make_motion, measure_error, move


def load(folder):
    stacks, _ = read_stacks(sorted(folder.rglob("*.dcm")), max_tilt_degrees=30.0)
    return load_volume(max(stacks, key=lambda stack: stack.shape[0]))


def thin(volume, step):
    """Every `step`th plane and pixel."""
    affine = volume.affine.copy()
    affine[:3, :3] *= step
    voxels = np.ascontiguousarray(volume.voxels[:: step[0], :: step[1], :: step[2]])
    return Volume(voxels, affine, volume.frame_of_reference_uid, volume.modality)


def store_sideways(volume):
    """The same volume with its planes reversed and its axes in another order."""
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    voxels = np.ascontiguousarray(volume.voxels[::-1].transpose(2, 0, 1))
    return Volume(voxels, affine[:, [2, 0, 1, 3]], volume.frame_of_reference_uid, volume.modality)


@pytest.fixture(scope="module")
def chest():
    """A made chest with a tilted bar of bone, so that it has one position and no symmetry."""
    volume, _, _ = make_chest((5.0, 4.0, 4.0), (240.0, 260.0, 380.0))
    k, j, i = np.ogrid[: volume.shape[0], : volume.shape[1], : volume.shape[2]]
    voxels = volume.voxels.copy()
    voxels[(np.abs(i - 20 - 0.8 * k) < 3) & (np.abs(j - 45 + 0.3 * k) < 3)] = 600
    return Volume(voxels, volume.affine, "1.2.3", "CT")


def test_a_chest_that_lay_elsewhere_and_was_scanned_shorter_is_found_within_a_millimeter(chest):
    motion = make_motion((4, -3, 6), (30, -40, 900))
    moving = store_sideways(move(cut(chest, slice(0, 36)), motion))
    found = register_rigid(chest, moving)
    assert measure_error(found.matrix, motion, chest) < 1.0
    assert found.correlation > 0.95
    assert found.turn_degrees == pytest.approx(7.8, abs=0.5)
    assert 0.6 < found.overlap < 0.9


@pytest.mark.parametrize(
    ("fault", "refusal", "why"),
    [
        ({}, None, ""),
        ({"turn_degrees": 31.0}, NotConverged, "turned by 31 degrees"),
        ({"disagreement_mm": 5.5}, NotConverged, "differ by 5.5 mm"),
        ({"correlation": 0.79}, NotConverged, "another patient"),
        ({"correlation": None}, None, ""),
        ({"overlap": 0.2, "matrix": make_motion((0, 0, 0), (0, 0, 200))}, NoOverlap, "in both volumes"),
    ],
)
def test_what_was_found_is_refused_where_it_is_not_to_be_believed(chest, fault, refusal, why):
    body = prepare(chest, 6.0)
    found = replace(Rigid(np.eye(4), 0.9, 0.9, 1.0, 5.0), **fault)
    if refusal is None:
        check_rigid(found, body, body, found.matrix)
        return
    with pytest.raises(refusal, match=why):
        check_rigid(found, body, body, found.matrix)


@pytest.mark.parametrize("fault", ["air", "even", "thin"])
def test_what_is_no_body_is_refused(chest, fault):
    voxels = {
        "air": np.full(chest.shape, -1000, np.float32),
        "even": np.full(chest.shape, -5, np.float32),
        "thin": chest.voxels[:4],
    }[fault]
    with pytest.raises(UnsuitableVolume):
        register_rigid(chest, Volume(voxels, make_affine((5.0, 4.0, 4.0)), "1.2.4", "CT"))


def test_a_real_chest_in_another_kernel_and_place_is_found_within_a_millimeter(real_data):
    fixed = thin(load(real_data / "ct_chest_LungDx_A0001" / "series3_soft_kernel"), (1, 3, 3))
    other = thin(load(real_data / "ct_chest_LungDx_A0001" / "series2_lung_kernel"), (1, 3, 3))
    motion = make_motion((-5, 2, 3), (-12, 30, -1500))
    moving = move(cut(other, slice(20, None)), motion)
    found = register_rigid(fixed, moving)
    assert measure_error(found.matrix, motion, fixed) < 1.0
    assert found.correlation > 0.98
    assert np.array_equal(found.matrix, register_rigid(fixed, moving).matrix)


def test_another_patients_chest_is_refused(real_data):
    fixed = thin(load(real_data / "ct_chest_CMB-CRC_01068"), (1, 3, 3))
    with pytest.raises((NotConverged, NoOverlap)):
        register_rigid(fixed, thin(load(real_data / "ct_chest_LungFCP_0001"), (2, 3, 3)))


def test_a_head_is_found_by_mutual_information_in_what_shows_it_like_ct(real_data):
    head = thin(load(real_data / "mr_brain_VS-SEG-001"), (2, 4, 4))
    tissue = head.voxels / np.percentile(head.voxels, 99)
    noise = np.random.default_rng(0).normal(0, 20, head.shape)
    # Air, then bright where MR is dark, and dark where it is bright: no line leads from one to the other.
    hu = np.where(tissue < 0.08, -1000, np.where(tissue < 0.35, 700 - 1500 * tissue, 20 + 60 * tissue)) + noise
    like_ct = Volume(np.clip(hu, -1024, 2000).astype(np.float32), head.affine, "1.2.5", "CT")
    motion = make_motion((5, -8, 10), (10, 20, -30))
    found = register_rigid(like_ct, move(head, motion))
    assert measure_error(found.matrix, motion, head) < 2.0
    assert found.correlation is None
