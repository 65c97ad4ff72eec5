"""A ball in the patient, painted on the images of a series of any geometry: what comes back shows where it was laid."""

from dataclasses import replace

import numpy as np

from tests.results import make_stack
from tests.series import make_slice

AIR_HU, BALL_HU, HALF_HU = -1000.0, 100.0, -450.0
CENTER = np.array([11.0, -23.0, 37.0])


def make_depths(spacing, radius=12.0, jitter=0.0, seed=0):
    """Depths in mm of planes that cover a ball at 0, each off its place by up to `jitter` steps."""
    count = int(np.ceil((radius + 2 * spacing) / spacing)) * 2 + 1
    rng = np.random.default_rng(seed)
    return (np.arange(count) - count // 2 + rng.uniform(-jitter, jitter, count) + rng.uniform(-0.5, 0.5)) * spacing


def tilted_head(degrees):
    """Orientation of a head CT with a tilted gantry; its table, and so the positions of its images, steps along z."""
    return (1, 0, 0, 0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))


def ball_series(
    depths, radius=12.0, orientation=(1, 0, 0, 0, 1, 0), tilt=0.0, towards=np.pi / 2, pixel=(0.8, 0.7), **changes
):
    """Images at `depths` mm along their normal from CENTER, where a ball of `radius` mm lies.

    tilt: degrees between the normal and the line of the images; towards: radians in the plane from the row direction.
    The ball's edge is a ramp as wide as the images are usually apart, so that half of it lies at `radius`.
    """
    cosines = np.round(np.array(orientation, float), 10)  # what a decimal string holds (PS3.5 6.2)
    row, column = cosines[:3], cosines[3:]
    line = np.cross(row, column) + np.tan(np.radians(tilt)) * (np.cos(towards) * row + np.sin(towards) * column)
    reach = radius + 8 + np.tan(np.radians(tilt)) * np.abs(depths).max()
    shape = tuple(int(n) for n in 2 * np.ceil(reach / np.array(pixel)) + (0, 1))  # an odd number of columns
    usual = float(np.median(np.diff(np.sort(depths))))
    slices = []
    for n, depth in enumerate(depths, 1):
        middle = CENTER + depth * line
        corner = middle - (shape[0] - 1) / 2 * pixel[0] * column - (shape[1] - 1) / 2 * pixel[1] * row
        ds = make_slice(np.zeros(shape, np.int16), np.round(corner, 6), cosines, (usual, *pixel), **changes)
        ds.InstanceNumber = n
        inside = np.clip(0.5 + (radius - distances(ds)) / max(usual, pixel[0]), 0, 1)
        ds.PixelData = np.rint(1024 + AIR_HU + (BALL_HU - AIR_HU) * inside).astype("<i2").tobytes()
        slices.append(ds)
    return slices


def places(ds):
    """Where the centers of an image's pixels lie, by PS3.3 equation C.7.6.2.1-1: mm, (rows, columns, 3)."""
    cosines = np.array(ds.ImageOrientationPatient, float)
    j, i = np.mgrid[: ds.Rows, : ds.Columns]
    down = cosines[3:] * float(ds.PixelSpacing[0])
    right = cosines[:3] * float(ds.PixelSpacing[1])
    return np.array(ds.ImagePositionPatient, float) + j[..., None] * down + i[..., None] * right


def distances(ds):
    """mm of each pixel from the ball's center."""
    return np.linalg.norm(places(ds) - CENTER, axis=-1)


def on_planes(slices, radius=12.0):
    """The ball as a mask of the images."""
    return np.stack([distances(ds) <= radius for ds in slices])


def in_grid(shape, affine, radius=12.0):
    """The ball as a mask of the grid (shape, affine)."""
    return np.linalg.norm(grid_places(shape, affine) - CENTER, axis=-1) <= radius


def grid_places(shape, affine):
    """Where the voxels of a grid lie: mm, shape (k, j, i, 3)."""
    return np.stack(np.mgrid[: shape[0], : shape[1], : shape[2]], axis=-1) @ affine[:3, :3].T + affine[:3, 3]


def stack_of(slices):
    """The images, in the order given, as a Stack that knows each one's position."""
    stack = make_stack(slices)
    own = np.array([ds.ImagePositionPatient for ds in slices], float)
    return replace(stack, offsets=own - stack.positions)


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def centroid(slices, mask):
    """mm. Each image speaks for the space between its neighbors, so that uneven ones count rightly."""
    depths = [np.array(ds.ImagePositionPatient, float) @ np.cross(*_axes(ds)) for ds in slices]
    weights = np.gradient(depths)[:, None, None] * mask
    where = np.stack([places(ds) for ds in slices])
    return (weights[..., None] * where).sum(axis=(0, 1, 2)) / weights.sum()


def surface_errors(slices, mask, radius=12.0):
    """mm from the ball's surface, of each place where a mask ends within an image, halfway between two pixels."""
    errors = []
    for ds, plane in zip(slices, mask, strict=True):
        where = places(ds)
        for axis in (0, 1):
            before, after = (np.take(plane, np.arange(n, plane.shape[axis] - 1 + n), axis) for n in (0, 1))
            ends = (np.take(where, np.arange(plane.shape[axis] - 1), axis) + _behind(where, axis)) / 2
            errors.append(np.abs(np.linalg.norm(ends[before != after] - CENTER, axis=-1) - radius))
    return np.concatenate(errors)


def _behind(where, axis):
    return np.take(where, np.arange(1, where.shape[axis]), axis)


def _axes(ds):
    cosines = np.array(ds.ImageOrientationPatient, float)
    return cosines[:3], cosines[3:]
