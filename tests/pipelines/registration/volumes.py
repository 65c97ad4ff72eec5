"""Volumes that were moved and bent in a known way, as priors of themselves."""

from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipelines.terms import Volume


def make_motion(degrees, shift_mm):
    """4x4: turns about x, y and z, then a shift, in LPS mm."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    motion[:3, 3] = shift_mm
    return motion


def move(volume, motion, frame="1.2.99"):
    """The same voxels at another place: a point x of `volume` is at motion x now."""
    return Volume(volume.voxels, motion @ volume.affine, frame, volume.modality)


def cut(volume, planes):
    """The planes of the slice `planes` alone."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (planes.start or 0)
    return Volume(np.ascontiguousarray(volume.voxels[planes]), affine, volume.frame_of_reference_uid, volume.modality)


def measure_error(matrix, motion, volume):
    """Largest distance in mm at which `matrix` (moving to fixed) misses points of the fixed `volume`, 20 to 80 % along
    each of its axes, of which `motion` (fixed to moving) tells where they went."""
    points = np.array([(*p, 1.0) for p in product(*((0.2 * n, 0.5 * n, 0.8 * n) for n in volume.shape))])
    places = points @ volume.affine.T
    return float(np.linalg.norm((places @ (matrix @ motion).T - places)[:, :3], axis=1).max())


def breathe(volume, depth_mm=18.0):
    """(moving, where): `volume` as after another breath; where(points of moving, (n, 3) mm) in `volume`."""
    corners = np.array([(*corner, 1.0) for corner in product(*((0, n - 1) for n in volume.shape))]) @ volume.affine.T
    low, extent = corners.min(axis=0)[:3], np.ptp(corners, axis=0)[:3]

    def where(points):
        x, y, z = np.clip((points - low) / extent, 0, 1).T
        rest = np.clip(1 - z / 0.8, 0, 1)
        deep = rest**2 * (3 - 2 * rest) * np.sin(np.pi * x) * np.sin(np.pi * y)
        return points + np.stack([0 * x, -depth_mm / 3 * deep, depth_mm * deep], axis=1)

    return Volume(_sample(volume, where), volume.affine, "1.2.98", volume.modality), where


def _sample(volume, where):
    _, rows, columns = volume.shape
    j, i = np.mgrid[:rows, :columns]
    voxels = np.empty(volume.shape, np.float32)
    for k, plane in enumerate(voxels):
        index = np.stack([np.full(j.size, k), j.ravel(), i.ravel(), np.ones(j.size)], axis=1)
        places = where((index @ volume.affine.T)[:, :3])
        back = np.column_stack([places, np.ones(len(places))]) @ np.linalg.inv(volume.affine).T
        plane[:] = ndimage.map_coordinates(volume.voxels, back[:, :3].T, order=1, mode="nearest").reshape(rows, columns)
    return voxels
