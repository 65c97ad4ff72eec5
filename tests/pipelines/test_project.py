import numpy as np
import torch

from pipelines.steps.project import crop_grid, project
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from tests.pipelines.chest import make_affine


def decide(field):
    return torch.stack([field > 0.5, field < -0.5])


def test_a_ball_comes_back_with_its_volume_and_place():
    affine = make_affine((4.0, 1.0, 1.0), (3, 4, 5))
    source = Grid((20, 70, 80), affine)
    grid = make_aligned_grid(source.shape, affine, 2.0)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    distance = np.linalg.norm(world - (40, 35, 45), axis=-1)
    field = torch.from_numpy(np.clip((20 - distance) / 4 + 0.5, 0, 1)).float()
    inside, below = project((field,), grid.affine, field.numpy() > 0, source, decide, kinds=2)
    assert inside.shape == source.shape
    assert abs(inside.sum() * 4.0 / (4 / 3 * np.pi * 20**3) - 1) < 0.03
    k, j, i = (np.mean(axis) for axis in np.nonzero(inside))
    assert np.allclose(affine @ (k, j, i, 1), (40, 35, 45, 1), atol=0.6)
    assert not below.any()


def test_nothing_is_projected_from_nothing():
    grid = Grid((3, 3, 3), np.eye(4))
    masks = project((torch.zeros(3, 3, 3),), np.eye(4), np.zeros((3, 3, 3), dtype=bool), grid, decide, kinds=2)
    assert [mask.shape for mask in masks] == [(3, 3, 3)] * 2
    assert not any(mask.any() for mask in masks)


def test_what_lies_outside_the_source_is_left_out():
    where = np.ones((3, 3, 3), dtype=bool)
    far = np.eye(4)
    far[:3, 3] = 100.0
    (mask,) = project((torch.ones(3, 3, 3),), far, where, Grid((4, 4, 4), np.eye(4)), lambda f: f[None] > 0.5, kinds=1)
    assert not mask.any()


def test_a_cropped_grid_keeps_its_place():
    affine = make_affine((4.0, 1.0, 2.0), (3, 4, 5))
    values = torch.arange(6 * 8 * 10.0).reshape(6, 8, 10)
    part = crop_grid(Grid((6, 8, 10), affine), (slice(1, 4), slice(2, 7), slice(3, 9)))
    assert torch.allclose(resample(values, affine, part), values[1:4, 2:7, 3:9], atol=1e-3)
