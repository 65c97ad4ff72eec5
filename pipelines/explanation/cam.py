"""GradCAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063), by MONAI: which places of a deep layer speak for a score."""

import copy
from collections.abc import Callable

import torch
from monai.visualize import GradCAMpp
from torch import Tensor, nn

from pipelines.explanation.scale import enlarge
from pipelines.explanation.score import Score, Scored


class ClassActivation:
    """GradCAM++ of one network at one layer.

    MONAI's class leaves its hooks in the network for good, so it is given a copy: the network that answers studies
    stays as it is, and this object costs its weights once more.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        self._network = copy.deepcopy(network).eval()
        self._layer = layer
        for one in self._network.modules():
            if getattr(one, "inplace", False):  # a backward hook refuses what is overwritten after it
                one.inplace = False  # type: ignore[assignment]

    def draw(self, image: Tensor, make_score: Callable[[nn.Module], Score]) -> Tensor:
        """The activation of `image` (1, channel, *space) for make_score(network): float32 (*space), 0 or more, in no
        unit; enlarged linearly from the layer's grid, which is its true resolution. One forward and backward."""
        scored = Scored(self._network, make_score)
        cam = GradCAMpp(scored, f"network.{self._layer}", postprocessing=lambda found: found)
        try:
            with torch.enable_grad():
                found = cam.compute_map(image.detach().clone().requires_grad_(), class_idx=0)
        finally:
            layer = self._network.get_submodule(self._layer)
            layer._forward_hooks.clear()
            layer._backward_hooks.clear()
            self._network.zero_grad(set_to_none=True)
        return enlarge(found[0, 0].detach().float().cpu(), tuple(image.shape[2:]))
