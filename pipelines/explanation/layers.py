"""Which layer of a network is looked at."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def find_deepest(network: nn.Module, image: Tensor) -> str:
    """The name of the module that is last to answer on the coarsest grid: the one that sees most of `image` at once
    and still knows where. What answers with a single voxel (pooled, squeezed) knows no place.

    Of a classifier that is what its pooling reads, of a U-shaped network its bottom. Raises ValueError without any.
    """
    grids: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _given: object, made: object) -> None:
            grids.pop(name, None)  # in the order of the last answer
            if isinstance(made, Tensor) and made.ndim == image.ndim:
                grid = tuple(made.shape[2:])
                if all(n <= most for n, most in zip(grid, image.shape[2:], strict=True)):  # channels last: no grid
                    grids[name] = grid

        return hook

    hooks = [one.register_forward_hook(note(name)) for name, one in network.named_modules() if name]
    try:
        network(image)
    finally:
        for one in hooks:
            one.remove()
    sizes = {name: math.prod(grid) for name, grid in grids.items() if math.prod(grid) > 1}
    if not sizes:
        raise ValueError("no layer of the network has a grid")
    coarsest = min(sizes.values())
    return [name for name, size in sizes.items() if size == coarsest][-1]
