"""What of a box made a detector find it: cells in and around it are hidden, one at a time, in a part of the images.

The score of what is left is the highest of a box of its kind that is still found there, as in D-RISE (Petsiuk et al.
2021, arXiv:2006.03204); places are hidden one by one instead of by thousands of random masks, an overlap counts from
LEAST_OVERLAP on instead of as a factor, and the score is a logit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.bundles.boxes import Floats, Reported, find_again, to_logits
from pipelines.bundles.detect import Rater, Scene, Tell
from pipelines.bundles.findings import LEAST_SCORE
from pipelines.bundles.image import find_ras
from pipelines.bundles.ways import LEAST_DROP, MOST_DRAWN
from pipelines.explanation.lay import lay_part
from pipelines.explanation.occlusion import BATCH, occlude
from pipelines.explanation.scale import normalize
from pipelines.explanation.score import Score

CELLS = 100
"""So many cells of a box are hidden at most."""
WIDER = 0.5
"""Of a cell's length, hidden with it at both ends."""
NEAREST, FARTHEST = 2.0, 8.0
"""Cells reach beyond the box by half of its length along each axis, and by so many voxels at least and at most."""
CONTEXT = 32
"""Voxels of the image that a detector sees beyond the cells."""
MOST_VOXELS = 1 << 22
"""What a detector is shown of a box: 160 voxels a side. A larger one would take as long as the images, CELLS times."""
ROOM = 1 << 21
"""Voxels that it is shown at once, where several parts fit in."""
Region = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Place:
    """Parts of an image, along x, y, z. around: where cells are hidden; shown: what the detector sees of it."""

    around: Region
    shown: Region

    @property
    def voxels(self) -> int:
        return int(np.prod([side.stop - side.start for side in self.shown]))

    @property
    def within(self) -> Region:
        """`around`, counted from where `shown` begins."""
        return _to_region(*(_ends(self.around, name) - _ends(self.shown, "start") for name in ("start", "stop")))


def place_box(box: Floats, size: Sequence[int], step: Sequence[int]) -> Place:
    """Where the cells of `box` (6,), in voxels of an image of `size`, lie. step: what the detector wants sizes to be
    multiples of; what is shown begins and ends on them, so that the same voxels meet as in the whole image."""
    limits, steps = np.asarray(size), np.asarray(step)
    low, high = box[:3], box[3:]
    reach = np.clip((high - low) / 2, NEAREST, FARTHEST)
    first = np.clip(np.floor(low - reach), 0, limits - 1)
    end = np.clip(np.ceil(high + reach), first + 1, limits)
    start = np.maximum(np.floor((first - CONTEXT) / steps) * steps, 0)
    stop = np.minimum(np.ceil((end + CONTEXT) / steps) * steps, limits)
    return Place(_to_region(first, end), _to_region(start, stop))


def draw_boxes(rater: Rater, scene: Scene, reported: Reported, tell: Tell) -> tuple[NDArray[np.float32], Floats]:
    """(the map, float32 on the volume's grid: around each of the first MOST_DRAWN of `reported` how much its score
    drops, as a share of its own highest drop, of several the higher, 0 wherever nothing was hidden; the share of its
    odds, 0..1, that the highest drop takes away of each).

    This share is NaN for a box too large to be looked at, and 0 for one that is not reported in what is shown of it.
    Below LEAST_DROP nothing is drawn.
    """
    boxes = scene.trace(reported.boxes)[:MOST_DRAWN]
    made, drops = np.zeros(scene.grid.shape, np.float32), np.zeros(len(boxes))
    for number, box in enumerate(boxes):
        place = place_box(box, scene.image.shape[1:], rater.step)
        told = _Share(tell, number / len(boxes), 1 / len(boxes))
        drawn = hide_cells(rater, scene, reported, number, place, told) if place.voxels <= MOST_VOXELS else None
        drops[number] = np.nan if drawn is None else -np.expm1(-max(float(drawn.max()), 0.0))
        if drawn is not None and drops[number] >= LEAST_DROP:
            at, part = lay_part(drawn.permute(2, 1, 0), _find_affine(scene, place), scene.grid)
            made[at] = np.maximum(made[at], normalize(torch.from_numpy(part)).numpy())
        tell((number + 1) / len(boxes))
    return made, drops


def hide_cells(
    rater: Rater, scene: Scene, reported: Reported, number: int, place: Place, tell: Callable[[int], None]
) -> Tensor:
    """How much the logit of the box `number` of `reported` drops where a cell is hidden: float32 (x, y, z) of
    `place.around`, on the CPU. 0 where the box would not be reported in what is shown of it. `tell` is told how many
    pictures were read since."""
    image = scene.image[(slice(None), *place.shown)][None]
    score = score_box(rater, scene, reported, number, place, tell)
    if float(score(image)[0]) < to_logits(LEAST_SCORE):
        return torch.zeros([side.stop - side.start for side in place.around])
    box = scene.trace(reported.boxes)[number] - np.tile(_ends(place.shown, "start"), 2)
    fill = find_surroundings(image, box, place.within)
    return occlude(score, image, fill, CELLS, place.within, batch=max(1, min(BATCH, ROOM // place.voxels)), wider=WIDER)


def score_box(
    rater: Rater,
    scene: Scene,
    reported: Reported,
    number: int,
    place: Place,
    tell: Callable[[int], None] = lambda _: None,
) -> Score:
    """Of pictures (n, channel, x, y, z) that lie as `place.shown`, the highest logit of a box that is the box `number`
    of `reported` (find_again); the floor of `rater` where there is none."""
    start = np.tile(_ends(place.shown, "start"), 2)

    def score(images: Tensor) -> Tensor:
        seen = [
            find_again(reported, scene.lay(one.boxes + start), one, rater.floor)[number] for one in rater.find(images)
        ]
        tell(len(images))
        return torch.tensor(seen)

    return score


def find_surroundings(image: Tensor, box: Floats, region: Region) -> Tensor:
    """The mean of each channel of `image` (1, channel, x, y, z) in `region` beside `box` (6,), of the shape of `image`;
    of all of the region where the box fills it."""
    inner = [slice(max(int(np.floor(low)), 0), int(np.ceil(high))) for low, high in zip(box[:3], box[3:], strict=True)]
    beside = torch.ones(image.shape[2:], dtype=torch.bool, device=image.device)
    beside[tuple(inner)] = False
    some = beside[region]
    values = image[0][(slice(None), *region)][:, some if bool(some.any()) else torch.ones_like(some)]
    return values.mean(dim=1)[None, :, None, None, None].expand_as(image)


class _Share:
    """Tells how many of the pictures of a box were read, as a share of all boxes."""

    def __init__(self, tell: Tell, start: float, width: float) -> None:
        self._tell, self._start, self._width, self._done = tell, start, width, 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._tell(self._start + self._width * min(self._done / (CELLS + 2), 1.0))


def _find_affine(scene: Scene, place: Place) -> Floats:
    """From indices (z, y, x) of `place.around` to LPS, mm."""
    ras = scene.affine.copy()
    ras[:3, 3] += ras[:3, :3] @ _ends(place.around, "start")
    return find_ras(ras)  # between RAS and LPS the way back is the way


def _ends(region: Region, name: str) -> Floats:
    return np.array([getattr(side, name) for side in region], np.float64)


def _to_region(first: Floats, end: Floats) -> Region:
    x, y, z = (slice(int(low), int(high)) for low, high in zip(first, end, strict=True))
    return x, y, z
