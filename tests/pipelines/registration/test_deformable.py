"""A breath that is known is found to a large part, folds nothing, and points go there and back."""

import numpy as np
import pytest

from pipelines.registration.deformable import find_jacobian, refine
from pipelines.registration.points import find_displacements, to_fixed, to_moving
from pipelines.terms import Field, Registration, Volume
from tests.pipelines.registration.test_rigid import load, thin
from tests.pipelines.registration.volumes import breathe, make_motion, move


def register(volume, matrix, field=None):
    return Registration("prior", volume.frame_of_reference_uid, "prior", matrix, field)


@pytest.fixture(scope="module")
def breathed(real_data):
    """(fixed, moving, motion, points of the lungs in moving, where they are in fixed)."""
    fixed = thin(load(real_data / "ct_chest_LungDx_A0001" / "series3_soft_kernel"), (1, 3, 3))
    moving, where = breathe(fixed)
    motion = make_motion((3, -2, 4), (20, -10, 60))
    lungs = np.argwhere((moving.voxels > -900) & (moving.voxels < -400))[::40]
    points = lungs @ moving.affine[:3, :3].T + moving.affine[:3, 3]
    return fixed, move(moving, motion), motion, points @ motion[:3, :3].T + motion[:3, 3], where(points)


def test_most_of_a_breath_is_found_in_a_real_chest_and_nothing_folds(breathed):
    fixed, moving, motion, points, places = breathed
    matrix = np.linalg.inv(motion)
    found = refine(fixed, moving, matrix)
    bent = register(moving, matrix, found.field)
    left = np.linalg.norm(to_fixed(points, bent) - places, axis=1)
    rigid = np.linalg.norm(to_fixed(points, register(moving, matrix)) - places, axis=1)
    assert np.percentile(rigid, 95) > 8
    assert left.mean() < 0.5 * rigid.mean()
    assert left.mean() < 2.0
    assert found.after > found.before + 0.02
    assert found.least_jacobian > 0.1
    assert 8 < found.largest_mm < 25
    there = to_moving(to_fixed(points, bent), bent)
    assert np.percentile(np.linalg.norm(there - points, axis=1), 99) < 0.1
    again = refine(fixed, moving, matrix)
    assert np.array_equal(again.field.vectors, found.field.vectors)


def test_a_volume_is_not_bent_on_itself(breathed):
    fixed = breathed[0]
    found = refine(fixed, Volume(fixed.voxels, fixed.affine, "1.2.9", "CT"), np.eye(4))
    assert found.largest_mm < 0.5
    assert found.after > 0.999


def test_the_jacobian_tells_how_a_field_changes_volumes_and_where_it_folds():
    k, j, i = np.mgrid[:6, :7, :8].astype(np.float32)
    stretched = np.stack([0.5 * 4 * i, -0.25 * 4 * j, 0 * k], axis=-1)
    assert find_jacobian(stretched, 4.0) == pytest.approx(np.full((6, 7, 8), 1.5 * 0.75), abs=1e-6)
    folded = np.stack([0 * i, 0 * j, -1.5 * 4 * k], axis=-1)
    assert (find_jacobian(folded, 4.0) < 0).all()


def test_points_go_through_a_field_and_a_motion_and_come_back():
    k, j, i = np.mgrid[:6, :7, :8].astype(np.float32)
    vectors = np.stack([0.1 * 4 * i, -0.2 * 4 * j, 0.15 * 4 * k + 2], axis=-1)
    affine = np.array([[0, 0, 4, 0], [0, 4, 0, 0], [4, 0, 0, 0], [0, 0, 0, 1.0]])
    motion = make_motion((3, -2, 4), (20, -10, 60))
    bent = Registration("prior", "1.2", "prior", np.linalg.inv(motion), Field(vectors, affine))
    points = np.array([[4.0, 8.0, 12.0], [10.0, 3.0, 15.0]])
    moved = points * (1.1, 0.8, 1.15) + (0, 0, 2)
    assert to_moving(points, bent) == pytest.approx(moved @ motion[:3, :3].T + motion[:3, 3], abs=1e-4)
    assert to_fixed(to_moving(points, bent), bent) == pytest.approx(points, abs=1e-2)


def test_vectors_are_read_along_their_axes_and_beyond_the_field_as_at_its_edge():
    vectors = np.zeros((3, 4, 5, 3), np.float32)
    vectors[1, 2, 3] = (1, 2, 3)
    vectors[0, 0, 0] = (4, 5, 6)
    affine = np.array([[0, 0, 2, 10], [0, 2, 0, 20], [2, 0, 0, 30], [0, 0, 0, 1.0]])
    field = Field(vectors, affine)
    points = np.array([[16, 24, 32], [15, 24, 32], [16, 24, 33], [0, 0, 0]], float)
    assert find_displacements(points, field).tolist() == [[1, 2, 3], [0.5, 1, 1.5], [0.5, 1, 1.5], [4, 5, 6]]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: Field(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)),
        lambda: Field(np.full((3, 4, 5, 3), np.nan, np.float32), np.fliplr(np.eye(4))),
        lambda: Field(np.zeros((3, 4, 5, 3), np.float32), np.eye(4)),
        lambda: Registration("prior", "1.2", "prior", np.diag([1.1, 1, 1, 1])),
        lambda: Registration("prior", "1.2", "prior", np.diag([-1.0, 1, 1, 1])),
    ],
    ids=["two numbers", "not finite", "left-handed", "scaled", "mirrored"],
)
def test_what_is_no_field_or_no_motion_is_not_made(spoil):
    with pytest.raises(ValueError):
        spoil()
