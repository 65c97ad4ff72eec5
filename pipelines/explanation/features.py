"""Feature-map views: where a layer responds at all, whatever for."""

import torch
from torch import Tensor, nn

from pipelines.explanation.scale import enlarge


@torch.no_grad()
def view_features(network: nn.Module, layer: str, image: Tensor) -> Tensor:
    """The root mean square over the channels of `layer` for `image` (1, channel, *space): float32 (*space), 0 or more,
    in the layer's own unit, enlarged linearly from its grid. It explains no answer: it has no target."""
    seen: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _module, _given, made: seen.append(made))
    try:
        network(image)
    finally:
        hook.remove()
    strength = seen[-1][0].float().pow(2).mean(dim=0).sqrt().cpu()
    return enlarge(strength, tuple(image.shape[2:]))
