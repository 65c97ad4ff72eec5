"""A T1-weighted head MR: the MNI152 template of the brain, as PyPI's `nilearn` ships it, in a skull made around it.

The template (MNI ICBM 152 nonlinear symmetric 2009a) is an average of 152 heads with the brain cut out, so it is
nobody's; to outline a brain that lies bare would show nothing, hence the made fluid, bone, scalp, face and neck.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.errors import ConfigError
from pipelines.terms import Affine

TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
MARGIN_MM = ((32, 18), (20, 32), (20, 20))
"""Room around the brain below and above, in front and behind, right and left: axes k, j, i, each first end first."""

LAYERS = ((2.0, 28.0), (3.5, 8.0), (7.0, 130.0), (8.5, 8.0), (10.5, 115.0), (14.5, 235.0))
"""Around the brain, out to so many mm: brightness in units of the template. Fluid, bone, marrow, bone, muscle, fat."""
SCALP = 4
"""The layer with which the scalp begins."""
MUSCLE, FAT, AIR = 112.0, 225.0, 0.0
CLOSING = 11
"""Furrows narrower than twice this, in voxels of 2 mm, do not dent the skull."""
BRIGHTNESS, NOISE = 4.0, 2.2

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """voxels: int16 (k, j, i), 1 mm, axial, rows to the patient's left. affine: (k, j, i, 1) -> LPS mm. brain: bool,
    the template's own extent: brain with its fluid; brain_ml its volume."""

    voxels: NDArray[np.int16]
    affine: Affine
    brain: NDArray[np.bool_]
    brain_ml: float


def find_template() -> Path:
    """The template's file in the installed `nilearn`, which is not imported. Raises ConfigError when absent."""
    spec = find_spec("nilearn")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / TEMPLATE
        if path.is_file():
            return path
    raise ConfigError("the demo's head needs the brain template of nilearn: pip install --no-deps nilearn")


def make_head(template: Path, seed: int = 0) -> Head:
    """The head around `template` (NIfTI, 1 mm, zero outside the brain). `seed` changes the noise alone."""
    rng = np.random.default_rng(seed)
    voxels, affine = _read_lps(template)
    voxels, affine = _give_room(voxels, affine)
    brain = ndimage.binary_fill_holes(voxels > 0)
    dressed = np.where(brain, voxels, _dress(brain, affine, rng))
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in voxels.shape)
    coil = 1.0 + 0.08 * j[None, :, None] - 0.06 * k[:, None, None] + 0.05 * i[None, None, :]
    # Magnitude of a complex signal: noise in air is never below zero.
    real, other = (NOISE * rng.standard_normal(voxels.shape, dtype=np.float32) for _ in range(2))
    seen = np.hypot(ndimage.gaussian_filter(dressed, 0.4) * coil + real, other)
    image = np.clip(np.rint(BRIGHTNESS * seen), 0, 4095).astype(np.int16)
    return Head(image, affine, brain, float(np.count_nonzero(brain)) / 1000.0)


def _read_lps(template: Path) -> tuple[Field, Affine]:
    """The template as (k, j, i) along superior, posterior, left, and its affine: NIfTI's world is RAS, DICOM's LPS."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(template))
    ras = np.asarray(image.dataobj, dtype=np.float32)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    last = np.array([*ras.shape, 1.0]) - 1.0
    origin = affine @ (last[0], last[1], 0.0, 1.0)
    lps = np.eye(4)
    lps[:3, :3] = np.stack([affine[:3, 2], -affine[:3, 1], -affine[:3, 0]], axis=1)
    lps[:3, 3] = origin[:3]
    return np.ascontiguousarray(ras[::-1, ::-1].transpose(2, 1, 0)), lps


def _give_room(voxels: Field, affine: Affine) -> tuple[Field, Affine]:
    """The brain's box with MARGIN_MM around it; voxels are 1 mm."""
    (box,) = ndimage.find_objects((voxels > 0).astype(np.uint8))
    first = np.array([side.start - low for side, (low, _) in zip(box, MARGIN_MM, strict=True)])
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ first
    return np.pad(voxels[box], MARGIN_MM), moved


def _dress(brain: NDArray[np.bool_], affine: Affine, rng: np.random.Generator) -> Field:
    """Everything but the brain, in units of the template."""
    away = _measure_distance(brain)
    grain = _make_grain(brain.shape, rng)
    depth = _measure_face(brain.shape, affine)
    outside = np.where(depth < 0.86, MUSCLE + 20.0 * grain, FAT).astype(np.float32)
    outside[depth > 1.0] = AIR
    bounds, brightness = zip(*LAYERS, strict=True)
    layer = np.digitize(away + 0.3 * grain, bounds)
    layer[(layer >= SCALP) & (depth <= 1.0)] = len(bounds)  # under the base of the skull lies the face, no scalp
    return np.where(layer < len(bounds), np.array([*brightness, 0.0], dtype=np.float32)[layer], outside)


def _measure_distance(brain: NDArray[np.bool_]) -> Field:
    """Distance in mm from the brain without its furrows. Measured at 2 mm: eight times faster, and smoother."""
    coarse = brain[::2, ::2, ::2]
    room = np.pad(coarse, CLOSING + 1)
    closed = ndimage.distance_transform_edt(ndimage.distance_transform_edt(~room) <= CLOSING) > CLOSING
    inner = (slice(CLOSING + 1, -CLOSING - 1),) * 3
    away = 2.0 * ndimage.distance_transform_edt(~(closed[inner] | coarse))
    scale = [n / m for n, m in zip(brain.shape, coarse.shape, strict=True)]
    distance: Field = ndimage.zoom(away.astype(np.float32), scale, order=1)
    return distance


def _measure_face(shape: tuple[int, ...], affine: Affine) -> Field:
    """Below 1 in the face and in the neck, which are round."""
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    x = (affine[0, 3] + i)[None, None, :].astype(np.float32)
    y = (affine[1, 3] + j)[None, :, None].astype(np.float32)
    z = (affine[2, 3] + k)[:, None, None].astype(np.float32)
    face = (x / 62.0) ** 2 + ((y + 48.0) / 56.0) ** 2 + ((z + 70.0) / 62.0) ** 2
    neck = (x / 62.0) ** 2 + ((y - 32.0) / 66.0) ** 2 + np.maximum(z + 38.0, 0.0)
    shape_level: Field = np.minimum(face, neck)
    return shape_level


def _make_grain(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Smooth, mean 0, deviation 1."""
    coarse = rng.standard_normal([n // 9 + 1 for n in shape], dtype=np.float32)
    grain: Field = ndimage.zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    grain /= grain.std()
    return grain
