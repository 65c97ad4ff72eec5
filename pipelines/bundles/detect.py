"""What a detecting bundle finds: boxes in the image that it reads, and where these lie in the volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from pipelines.bundles.boxes import Floats, Found, to_logits
from pipelines.bundles.image import plain, to_indices, to_voxels
from pipelines.steps.resample import Grid
from pipelines.terms import Affine

Find = Callable[[Tensor], list[Found]]
"""Of images (n, channel, x, y, z) on the device of the network, what is found in each."""

Tell = Callable[[float], None]
"""Is told the share done."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image (channel, x, y, z) as the detector reads it, its affine to RAS, and the grid of the volume that it was
    made of."""

    image: Tensor
    affine: Floats
    grid: Grid

    def lay(self, boxes: Floats) -> Floats:
        """Boxes (n, 6) in voxels of the image as corners (n, 2, 3) in indices (k, j, i) of the volume."""
        return to_indices(boxes, self.affine, self.grid.affine)

    def trace(self, corners: Floats) -> Floats:
        """The way back: corners (n, 2, 3) in indices of the volume as boxes (n, 6) in voxels of the image. What comes
        to lie oblique is enclosed."""
        return to_voxels(corners, self.affine, self.grid.affine)


@dataclass(frozen=True, slots=True, eq=False)
class Rater:
    """A detector whose scores are logits: of a sure one all probabilities are nearly 1, and say nothing any more.

    floor: below this it gives no box. step: what the sizes of its images are made multiples of, along x, y, z.
    """

    find: Find
    floor: float
    step: tuple[int, ...]


class Detector:
    """MONAI's detector on one device, which reads what is larger than its window in windows."""

    def __init__(self, made: Any, device: str) -> None:
        self._made = made.eval()
        self._device = device

    @property
    def inferer(self) -> Any:
        """What cuts its windows; None where it has none."""
        return self._made.inferer

    @property
    def rater(self) -> Rater:
        """The same detector, with logits."""
        floor = float(to_logits(self._made.box_selector.score_thresh))
        return Rater(self._rate, floor, tuple(int(n) for n in self._made.size_divisible))

    def see(self, image: MetaTensor, shape: Sequence[int], affine: Affine) -> Scene:
        """`image` (channel, x, y, z), made of a volume of `shape` (k, j, i) at `affine`, on the device."""
        k, j, i = shape
        seen = plain(image).float().to(self._device)
        return Scene(seen, np.asarray(image.affine, np.float64), Grid((k, j, i), affine))

    @torch.no_grad()
    def find(self, images: Tensor) -> list[Found]:
        """See Find."""
        window = getattr(self.inferer, "roi_size", None)
        large = window is not None and images[0, 0].numel() >= int(np.prod(window))
        if large:
            self.inferer.sw_device = self._device
        return [self._read(one) for one in self._made(list(images), use_inferer=large)]

    def _rate(self, images: Tensor) -> list[Found]:
        """As `find`, with the logits of the scores: as the network gives them, where probabilities are made of them."""
        selector = self._made.box_selector
        if not selector.apply_sigmoid:
            return [replace(one, scores=to_logits(one.scores)) for one in self.find(images)]
        least = selector.score_thresh
        selector.apply_sigmoid, selector.score_thresh = False, float(to_logits(least))
        try:
            return self.find(images)
        finally:
            selector.apply_sigmoid, selector.score_thresh = True, least

    def _read(self, one: dict[str, Tensor]) -> Found:
        boxes = one[self._made.target_box_key].double().cpu().numpy().reshape(-1, 6)
        scores = one[self._made.pred_score_key].double().cpu().numpy().reshape(-1)
        classes = one[self._made.target_label_key].cpu().numpy().reshape(-1).astype(np.uint16)
        return Found(boxes, scores, classes)


def list_boxes(find: Find, scene: Scene) -> dict[str, Any]:
    """What is found in `scene`: "boxes", "scores" and "classes" (pipelines.bundles.program.Answer), cut at the edges of
    the volume."""
    (found,) = find(scene.image[None])
    corners = np.clip(scene.lay(found.boxes), -0.5, np.asarray(scene.grid.shape) - 0.5)
    whole = (corners[:, 1] - corners[:, 0] > 1e-3).all(axis=1)
    return {"boxes": corners[whole], "scores": found.scores[whole], "classes": found.classes[whole]}
