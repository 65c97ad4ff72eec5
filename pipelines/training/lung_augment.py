"""Other patients and other scanners, made from a few: every patch that trains the lung model goes through here.

A patch is float32 HU on the model's grid, NaN where nothing was measured, with the lungs (bool). Everything is drawn
from one torch.Generator, so that a seed repeats the training.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pipelines.lung_seg.network import PATCH, SPACING_MM, fit_patch

AIR_HU = -1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A scan in tensors on a grid of `spacing_mm`, k, j, i along +z, +y, +x: hu (NaN outside), lungs, body."""

    hu: Tensor
    lungs: Tensor
    body: Tensor
    spacing_mm: float


class Dice:
    """Draws from a generator: the chances of augmentation in a readable form."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def chance(self, share: float) -> bool:
        return self.uniform(0.0, 1.0) < share

    def integer(self, low: int, high: int) -> int:
        """low..high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def smooth(self, cells: tuple[int, int, int]) -> Tensor:
        """A smooth random field on the patch, about normal; the more cells, the finer."""
        coarse = self.normal((1, 1, *cells))
        return functional.interpolate(coarse, PATCH, mode="trilinear", align_corners=True)[0, 0]


def make_patch(subject: Subject, dice: Dice) -> tuple[Tensor, Tensor]:
    """(hu, lungs) of PATCH: another body, another disease, another scanner, another field of view, in that order."""
    hu, lungs, body = _view(subject, dice)
    if dice.chance(0.03):
        return _crop_view(_make_phantom(dice), torch.zeros_like(lungs), dice)
    hu = _change_surroundings(hu, body, dice)
    hu, lungs = _change_lungs(hu, lungs, dice)
    hu = _paste_gas(hu, lungs, body, dice)
    hu = _change_scanner(hu, dice)
    return _crop_view(hu, lungs, dice)


def trim(hu: Tensor, lungs: Tensor) -> tuple[Tensor, Tensor]:
    """The patch cut to what is known of it, as the pipeline cuts its volumes; sides are multiples of STRIDE."""
    box = []
    for axis in range(3):
        seen = (~hu.isnan()).amax(dim=tuple({0, 1, 2} - {axis})).nonzero()
        first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (0, 0)
        size = fit_patch((last - first + 1,) * 3)[axis]
        start = min(first, hu.shape[axis] - size)
        box.append(slice(start, start + size))
    return hu[tuple(box)], lungs[tuple(box)]


def _view(subject: Subject, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
    """The subject turned, mirrored, larger or smaller, seen through a patch that lies somewhere on it."""
    shape = torch.tensor(subject.hu.shape, dtype=torch.float32)
    zoom = math.exp(dice.uniform(math.log(0.75), math.log(1.3)))
    scale = torch.tensor([zoom * dice.uniform(0.9, 1.1) for _ in range(3)])
    turn = _rotation(dice.uniform(-0.2, 0.2), dice.uniform(-0.2, 0.2), dice.uniform(-0.25, 0.25))
    mirror = torch.tensor([1.0, 1.0, -1.0 if dice.chance(0.5) else 1.0])
    matrix = turn * (SPACING_MM / subject.spacing_mm / scale * mirror)[None, :]
    center = (shape - 1) / 2 + torch.tensor(
        [dice.uniform(-0.4, 0.4), *(dice.uniform(-0.12, 0.12) for _ in "ji")]
    ) * shape
    offset = center - matrix @ ((torch.tensor(PATCH, dtype=torch.float32) - 1) / 2)
    where = _normalize(matrix, offset, shape)
    hu = functional.grid_sample(subject.hu.nan_to_num(AIR_HU)[None, None], where, align_corners=False,
                                padding_mode="border")[0, 0]  # fmt: skip
    masks = torch.stack([subject.lungs, subject.body]).float()[None]
    lungs, body = functional.grid_sample(masks, where, align_corners=False)[0] > 0.5
    outside = (where[0].abs() > 1).any(dim=-1)
    return hu.masked_fill(outside, torch.nan), lungs, body


def _rotation(a: float, b: float, c: float) -> Tensor:
    """Turns by a, b, c radians about x, y, z, acting on (k, j, i)."""
    about_x = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1.0]])
    about_y = torch.tensor([[math.cos(b), 0, -math.sin(b)], [0, 1.0, 0], [math.sin(b), 0, math.cos(b)]])
    about_z = torch.tensor([[1.0, 0, 0], [0, math.cos(c), -math.sin(c)], [0, math.sin(c), math.cos(c)]])
    return about_x @ about_y @ about_z


def _normalize(matrix: Tensor, offset: Tensor, shape: Tensor) -> Tensor:
    """Sampling places for grid_sample of the patch whose index p lies at `matrix @ p + offset` in the source."""
    theta = 2.0 / shape[:, None] * matrix
    start = (2.0 * offset + 1.0) / shape - 1.0
    axes = [torch.arange(n, dtype=torch.float32)[:, None] * theta[:, axis] for axis, n in enumerate(PATCH)]
    where = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None] + start
    return where.flip(-1)[None]


def _change_surroundings(hu: Tensor, body: Tensor, dice: Dice) -> Tensor:
    """Mostly nothing, as the pipeline hides what is outside the patient; where that fails: air, table, other things."""
    if dice.chance(0.85):
        hu = hu.masked_fill(~body, torch.nan)
    elif dice.chance(0.5):
        things = (dice.smooth((5, 12, 12)) > 1.1) & ~body & ~hu.isnan()
        hu = torch.where(things, torch.full_like(hu, dice.uniform(-900, 300)), hu)
    if dice.chance(0.25):
        tissue = body & (hu > -200)
        hu = torch.where(tissue, hu * dice.uniform(0.7, 1.6) + dice.uniform(-30, 60), hu)
    return hu


def _change_lungs(hu: Tensor, lungs: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Lungs emptier or denser, with opacities (still lung), or none at all: filled with tissue (no longer lung)."""
    if dice.chance(0.08):
        tissue = dice.uniform(-100, 120) + dice.uniform(10, 60) * dice.smooth((16, 24, 32))
        return torch.where(_widen(lungs, 1), tissue, hu), torch.zeros_like(lungs)
    if dice.chance(0.6):
        denser = 1.0 + dice.uniform(-0.4, 1.5) * (1.0 + 0.4 * dice.smooth((4, 4, 4))).clamp(0.0, 1.6)
        hu = torch.where(lungs & (hu < -300), (hu - AIR_HU) * denser + AIR_HU, hu)
    if dice.chance(0.35):
        hazy = (dice.smooth((6, 8, 10)) - dice.uniform(0.0, 1.2)).mul(2.0).clamp(0.0, 1.0)
        haze = dice.uniform(-650, 60) + dice.uniform(0, 60) * dice.smooth((32, 48, 64))
        hu = torch.where(lungs, torch.maximum(hu, hu + (haze - hu) * hazy), hu)
    if dice.chance(0.5):
        for _ in range(dice.integer(1, 5)):
            hu = _paste_lump(hu, lungs, dice)
    return hu, lungs


def _paste_lump(hu: Tensor, lungs: Tensor, dice: Dice) -> Tensor:
    """A nodule or mass, 6 to 70 mm wide, somewhere in the lungs or against the pleura."""
    places = lungs.nonzero()
    if len(places) == 0:
        return hu
    center = places[dice.integer(0, len(places) - 1)]
    radius = 3.0 * math.exp(dice.uniform(0.0, math.log(10.0))) / SPACING_MM
    inside = _ball(center, radius, dice) & lungs
    return torch.where(inside, torch.full_like(hu, dice.uniform(-150, 90)) + 20 * dice.smooth((32, 48, 64)), hu)


def _ball(center: Tensor, radius: float, dice: Dice) -> Tensor:
    """A lumpy ellipsoid about `center` (k, j, i)."""
    axes = [
        ((torch.arange(n, dtype=torch.float32) - float(c)) / (radius * dice.uniform(0.7, 1.4))) ** 2
        for n, c in zip(PATCH, center, strict=True)
    ]
    distance = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None]
    return distance < 1.0 + 0.3 * dice.smooth((12, 18, 24))


def _paste_gas(hu: Tensor, lungs: Tensor, body: Tensor, dice: Dice) -> Tensor:
    """Gas in stomach and bowel: even, sharp, in tissue away from the lungs by a wall of at least one voxel."""
    if not dice.chance(0.4):
        return hu
    allowed = body & ~_widen(lungs, 2) & (hu > -300)
    for _ in range(dice.integer(1, 5)):
        places = allowed.nonzero()
        if len(places) == 0:
            return hu
        center = places[dice.integer(0, len(places) - 1)]
        pocket = _ball(center, dice.uniform(6, 40) / SPACING_MM, dice) & allowed
        hu = torch.where(pocket, torch.full_like(hu, dice.uniform(-1020, -850)), hu)
    return hu


def _widen(mask: Tensor, voxels: int) -> Tensor:
    """`mask` grown by a cube of `voxels` on every side."""
    return functional.max_pool3d(mask.float()[None, None], 2 * voxels + 1, stride=1, padding=voxels)[0, 0] > 0


def _change_scanner(hu: Tensor, dice: Dice) -> Tensor:
    """Kernel, slice thickness, noise white and grained, calibration."""
    unknown = hu.isnan()
    hu = hu.nan_to_num(AIR_HU)
    if dice.chance(0.3):
        thick = dice.integer(2, 3)
        coarse = functional.avg_pool3d(hu[None, None], (thick, 1, 1), ceil_mode=True)
        size = (coarse.shape[2] * thick, *PATCH[1:])
        hu = functional.interpolate(coarse, size, mode="trilinear", align_corners=False)[0, 0, : PATCH[0]]
    if dice.chance(0.5):
        blurred = functional.avg_pool3d(hu[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
        hu = hu + dice.uniform(-0.8, 0.8) * (blurred - hu)
    if dice.chance(0.5):
        hu = hu + dice.uniform(0, 80) * dice.normal(PATCH)
    if dice.chance(0.3):
        hu = hu + dice.uniform(0, 50) * dice.smooth((32, 48, 64))
    hu = hu * dice.uniform(0.95, 1.05) + dice.uniform(-40, 40)
    return hu.masked_fill(unknown, torch.nan)


def _crop_view(hu: Tensor, lungs: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Thin slabs (18 mm upward), small and circular fields of view; what is not seen is no lung."""
    measured = ~hu.isnan()
    seen = measured.clone()
    if dice.chance(0.5):
        planes = min(PATCH[0], round(6.0 * math.exp(dice.uniform(0.0, math.log(8.0)))))
        first = dice.integer(0, PATCH[0] - planes)
        seen[:first], seen[first + planes :] = False, False
    if dice.chance(0.35):
        seen &= _field_of_view(dice)
    # Some writers put air where nothing was measured; then the network is told that it is known.
    lie = dice.chance(0.1)
    hidden = torch.full_like(hu, AIR_HU - 24.0 if lie else torch.nan)
    if not (seen & measured).any():
        seen = measured
    return torch.where(measured & ~seen, hidden, hu), lungs & seen


def _field_of_view(dice: Dice) -> Tensor:
    """A circle or rectangle of the plane, the same in all planes: (1, j, i)."""
    middle = [n / 2 + dice.uniform(-0.2, 0.2) * n for n in PATCH[1:]]
    reach = [dice.uniform(0.25, 0.7) * n for n in PATCH[1:]]
    j, i = ((torch.arange(n, dtype=torch.float32) - m) / r for n, m, r in zip(PATCH[1:], middle, reach, strict=True))
    if dice.chance(0.5):
        radius = max(reach) / reach[0], max(reach) / reach[1]
        return ((j / radius[0])[:, None] ** 2 + (i / radius[1])[None] ** 2 < 1.0)[None]
    return ((j.abs() < 1)[:, None] & (i.abs() < 1)[None])[None]


def _make_phantom(dice: Dice) -> Tensor:
    """Water and plastic in air, with hollows: things that are scanned and have no lungs."""
    hu = torch.full(PATCH, AIR_HU)
    for _ in range(dice.integer(1, 4)):
        center = torch.tensor([dice.integer(0, n - 1) for n in PATCH])
        hu = torch.where(_ball(center, dice.uniform(8, 35), dice), torch.full_like(hu, dice.uniform(-1000, 200)), hu)
    return hu + dice.uniform(0, 30) * dice.normal(PATCH)
