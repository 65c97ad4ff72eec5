"""How much a figure would differ with other patients of the same kind: the percentile bootstrap."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

DRAWS, SEED = 2000, 0


def find_interval(
    values: Sequence[T], patients: Sequence[str], statistic: Callable[[Sequence[T]], float | None]
) -> tuple[float, float] | None:
    """The middle 95 % of `statistic` over DRAWS samples of as many patients, drawn with replacement from SEED on.

    patients: whose each of `values` is; all of one patient are drawn together, since they resemble each other. Samples
    without a value (None) do not count. None for fewer than two patients, where there is nothing to draw.
    """
    groups: dict[str, list[T]] = defaultdict(list)
    for value, patient in zip(values, patients, strict=True):
        groups[patient].append(value)
    if len(groups) < 2:
        return None
    own = list(groups.values())
    drawn = np.random.default_rng(SEED).integers(0, len(own), (DRAWS, len(own)))
    found = [one for row in drawn if (one := statistic([value for n in row for value in own[n]])) is not None]
    if not found:
        return None
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)
