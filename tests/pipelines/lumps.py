"""A block of lung in a body, with balls in it: a CT volume of which it is known where its nodules are."""

import numpy as np

from pipelines.terms import Code, Finding, Result, Segment, Volume
from tests.pipelines.chest import make_affine

SPACING = (2.0, 1.2, 1.2)
SHAPE = (36, 68, 72)
LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")


def make_lung(balls=(), seed=0):
    """(volume, lungs): balls are (index (k, j, i), radius in mm, HU), with an edge as wide as a voxel."""
    random = np.random.default_rng(seed)
    hu = np.full(SHAPE, 40.0)
    lungs = np.zeros(SHAPE, bool)
    lungs[3:-3, 8:-8, 8:-8] = True
    hu[lungs] = -850.0
    for center, radius, density in balls:
        away = np.sqrt(
            sum(
                ((np.arange(n) - c) * mm).reshape([-1 if a == axis else 1 for a in range(3)]) ** 2
                for axis, (n, c, mm) in enumerate(zip(SHAPE, center, SPACING, strict=True))
            )
        )
        share = np.clip((radius - away) / 1.2 + 0.5, 0, 1)
        hu += share * (density - hu)
    hu += random.normal(0, 15, SHAPE)
    return Volume(hu.astype(np.float32), make_affine(SPACING, (0, 0, 0)), "1.2.3", "CT"), lungs


class Lungs:
    """In place of lung-seg: the lungs that it was told, the right half of the image on the right. Counts its runs."""

    def __init__(self, lungs):
        self.lungs, self.runs = lungs, 0

    def run(self, volume, progress):
        self.runs += 1
        return Result(tuple(make_sides(self.lungs).values()), (Finding("lungs", LUNG),))


def make_sides(lungs):
    """key -> Segment of each side."""
    middle = np.arange(lungs.shape[2]) < lungs.shape[2] // 2
    return {
        key: Segment(key, key, ANATOMY, LUNG, lungs & side)
        for key, side in (("right-lung", middle), ("left-lung", ~middle))
    }
