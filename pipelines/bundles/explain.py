"""Why a bundle chose its class, and where its network looks: maps on its input image, computed in its own process."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.bundles.ways import CHANGES
from pipelines.bundles.windows import Look
from pipelines.errors import BundleDrift
from pipelines.explanation.attention import view_attention
from pipelines.explanation.augment import make_changes
from pipelines.explanation.cam import ClassActivation
from pipelines.explanation.features import view_features
from pipelines.explanation.gradients import integrate_gradients
from pipelines.explanation.layers import find_deepest
from pipelines.explanation.occlusion import find_mean, occlude
from pipelines.explanation.scale import normalize, smooth
from pipelines.explanation.score import score_class
from pipelines.explanation.spread import find_spread

Ask = Callable[[Tensor], Tensor]
VIEWS = {"attention", "features"}
"""Ways that have no target: they explain no answer."""


def draw(way: str, network: nn.Module, image: Tensor, number: int) -> Tensor:
    """What of `image` (1, channel, *space) speaks for class `number`, or of VIEWS where the network looks: 0..1 as a
    share of the most, float32 (*space), on the CPU. Raises BundleDrift where the network has no such thing."""
    if way in VIEWS:
        return normalize(view_windows(way, network)(image)[0, 0])
    score, fill = score_class(network, number), find_mean(image)
    if way == "occlusion":
        return normalize(occlude(score, image, fill))
    if way == "gradients":
        return normalize(smooth(integrate_gradients(score, image, fill), 3))
    try:
        activation = ClassActivation(network, find_deepest(network, image))
    except ValueError as error:
        raise BundleDrift(str(error)) from error
    return normalize(activation.draw(image, lambda copied: score_class(copied, number)))


def view_windows(way: str, network: nn.Module) -> Look:
    """What shows, of windows (n, channel, *window), where `network` attends or its deepest layer responds: (n, 1,
    *window), 0 or more, on the CPU. It raises BundleDrift where the network has no such thing."""

    layer = ""

    def look(windows: Tensor) -> Tensor:
        nonlocal layer
        try:
            if way == "attention":
                seen = [view_attention(network, one[None]) for one in windows]
            else:
                layer = layer or find_deepest(network, windows[:1])
                seen = [view_features(network, layer, one[None]) for one in windows]
        except ValueError as error:
            raise BundleDrift(str(error)) from error
        return torch.stack(seen)[:, None]

    return look


@torch.no_grad()
def find_deviation(ask: Ask, image: Tensor) -> Tensor:
    """The deviation of each probability of ask(image) (class,) after CHANGES, as shares of each side."""
    size = image.shape[2:]
    shifts = [tuple(round(share * n) for n in size) for share in CHANGES]
    changes = make_changes((0,), shifts)
    return find_spread(ask(change.apply(image)) for change in changes).deviation
