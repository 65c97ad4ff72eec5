import numpy as np
import pytest
import torch

from pipelines.steps.resample import Grid, make_aligned_grid, resample, resample_slabs
from tests.pipelines.chest import make_affine

RAMP = np.array([2.0, -3.0, 0.5])


def make_ramp(shape, affine):
    """Values that are linear in the patient's coordinates."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return torch.from_numpy((index @ affine[:3, :3].T + affine[:3, 3]) @ RAMP).float()


def turn(affine, degrees):
    a = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(a / 2), -np.sin(a / 2)], [np.sin(a / 2), np.cos(a / 2)]]
    return tilt @ matrix @ affine


def flip(affine, shape, axis):
    flipped = affine.copy()
    flipped[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
    flipped[:3, axis] *= -1
    return flipped


SHAPE = (20, 40, 30)
PLACES = {
    "axial": make_affine((2.0, 1.0, 1.0), (5, -7, 11)),
    "anisotropic": make_affine((5.0, 0.7, 0.9), (5, -7, 11)),
    "oblique": turn(make_affine((2.0, 1.0, 1.0), (5, -7, 11)), 25),
    "left-handed": flip(make_affine((2.0, 1.0, 1.0), (5, -7, 11)), SHAPE, 0),
    "sagittal": make_affine((2.0, 1.0, 1.0))[:, [2, 0, 1, 3]],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spacing", [0.8, 2.0, 3.0])
def test_a_linear_ramp_stays_exact_in_the_patient(place, spacing):
    affine = PLACES[place]
    grid = make_aligned_grid(SHAPE, affine, spacing)
    values = resample(make_ramp(SHAPE, affine), affine, grid, fill=torch.nan)
    # At the border the last value repeats, so the ramp is compared a block of averaged voxels inside.
    eroded = resample(make_ramp(SHAPE, affine)[4:-4, 6:-6, 6:-6], shift(affine, (4, 6, 6)), grid, torch.nan)
    inner = ~torch.isnan(eroded)
    assert inner.float().mean() > 0.05
    assert torch.allclose(values[inner], make_ramp(grid.shape, grid.affine)[inner], atol=2e-3)


def shift(affine, steps):
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array(steps, float)
    return moved


@pytest.mark.parametrize("place", PLACES)
def test_there_and_back_again_is_where_it_was(place):
    affine = PLACES[place]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    world = (index - (np.array(SHAPE) - 1) / 2) @ affine[:3, :3].T
    ball = torch.from_numpy(np.exp(-(world**2).sum(-1) / 60.0)).float()
    grid = make_aligned_grid(SHAPE, affine, 1.0)
    back = resample(resample(ball, affine, grid), grid.affine, Grid(SHAPE, affine), antialias=False)
    assert (back - ball).abs().max() < 0.12
    total = float(ball.sum())
    for axis in range(3):
        across = [a for a in range(3) if a != axis]
        place_of = torch.arange(SHAPE[axis], dtype=torch.float32)
        there, here = (float((v.sum(across) * place_of).sum()) for v in (back, ball))
        assert there / float(back.sum()) == pytest.approx(here / total, abs=0.03)


def test_the_aligned_grid_depends_on_space_alone():
    affine = PLACES["anisotropic"]
    grid = make_aligned_grid(SHAPE, affine, 3.0)
    again = make_aligned_grid(SHAPE, flip(flip(affine, SHAPE, 0), SHAPE, 2), 3.0)
    turned = make_aligned_grid((40, 30, 20), affine[:, [1, 2, 0, 3]], 3.0)
    for other in (again, turned):
        assert other.shape == grid.shape
        assert np.allclose(other.affine, grid.affine)


def test_outside_the_source_is_the_fill_value():
    affine = make_affine((1.0, 1.0, 1.0))
    grid = Grid((1, 1, 6), shift(affine, (0, 0, -2)))
    values = resample(torch.full((1, 1, 3), 7.0), affine, grid, fill=-1.0)
    assert values.flatten().tolist() == [-1.0, -1.0, 7.0, 7.0, 7.0, -1.0]


def test_fine_detail_is_averaged_not_skipped():
    affine = make_affine((1.0, 1.0, 1.0))
    stripes = torch.zeros(12, 12, 12)
    stripes[:, :, ::2] = 100.0
    coarse = resample(stripes, affine, make_aligned_grid((12, 12, 12), affine, 4.0))
    assert torch.allclose(coarse, torch.full_like(coarse, 50.0))


def test_slabs_are_the_whole_in_pieces(monkeypatch):
    affine = PLACES["oblique"]
    values = make_ramp(SHAPE, affine)
    grid = make_aligned_grid(SHAPE, affine, 1.0)
    whole = resample(values, affine, grid, fill=-5.0)
    monkeypatch.setattr("pipelines.steps.resample.SLAB_POINTS", grid.shape[1] * grid.shape[2] * 7)
    pieces = list(resample_slabs(values, affine, grid, fill=-5.0))
    assert len(pieces) > 2
    assert torch.allclose(torch.cat([part for _, part in pieces]), whole, atol=1e-4)
    assert [planes.start for planes, _ in pieces] == list(range(0, grid.shape[0], 7))
