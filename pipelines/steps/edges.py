"""Does a structure go on where the image ends?"""

import numpy as np

from pipelines.terms import Mask

SIDES = {"top": (0, 1), "bottom": (0, -1), "back": (1, 1), "front": (1, -1), "left": (2, 1), "right": (2, -1)}
"""Side of the patient -> (axis, direction) of an array whose k, j, i run along +z, +y, +x (LPS)."""


def find_cut_sides(mask: Mask, known: Mask, spacing_mm: float, area_mm2: float = 300.0) -> tuple[str, ...]:
    """The sides ("top", "left" ...) on which at least `area_mm2` of `mask` borders on what was not imaged.

    mask, known: (k, j, i) along +z, +y, +x, isotropic; known is False where nothing was measured. Beyond the array
    nothing is known.
    """
    beyond = np.pad(~known, 1, constant_values=True)
    core = tuple(slice(1, -1) for _ in range(3))
    cut = []
    for side, (axis, direction) in SIDES.items():
        next_unknown = np.roll(beyond, -direction, axis=axis)[core]
        if np.count_nonzero(mask & next_unknown) * spacing_mm**2 >= area_mm2:
            cut.append(side)
    return tuple(cut)
