"""How a bundle goes over an image: in windows, slices or at once, as its inferer says, with whatever looks at them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from pipelines.bundles.image import plain
from pipelines.bundles.tail import Tail
from pipelines.bundles.windows import Decide, Look, decide_windows, keep_means


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """inferer: the bundle's own, of MONAI. device: where windows are looked at."""

    inferer: Any
    device: str

    @property
    def slides(self) -> bool:
        """Whether windows go over a volume as MONAI's own inferer has them, which ours does in less memory."""
        return (
            type(self.inferer) is SlidingWindowInferer
            and self.inferer.roi_size is not None
            and np.size(self.inferer.roi_size) in {1, 3}
        )

    @property
    def takes_any_size(self) -> bool:
        """Whether an image may be a little larger than the bundle's preprocessing makes it."""
        return isinstance(self.inferer, SlidingWindowInferer)

    def read(self, image: Tensor, look: Look, decide: Decide = keep_means, tail: Tail | None = None) -> Tensor:
        """What `decide` says of what `look` sees in `image` (1, channel, *space): (channel, *space), on the CPU."""
        if self.slides and image.ndim == 5:
            return decide_windows(plain(image), look, self.inferer, self.device, decide, tail)
        if self.takes_any_size:
            self.inferer.sw_device, self.inferer.device = self.device, "cpu"
        return decide(self.inferer(image, look)[0].float().cpu())
