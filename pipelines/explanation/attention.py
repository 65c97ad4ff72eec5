"""Attention as a network itself computes it, where it has any of MONAI's two kinds.

Gates of an AttentionUnet (a factor 0..1 for each voxel of a skip connection), and self-attention of vision transformers
(ViT, UNETR): what of an image each place is told by the others. lung-seg, brain-extract and brain-structures have
neither.
"""

import math
from collections.abc import Sequence

import torch
from monai.networks.blocks.selfattention import SABlock
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor, nn

from pipelines.explanation.scale import enlarge


def has_attention(network: nn.Module) -> bool:
    """True when view_attention can show something of it."""
    return any(isinstance(one, AttentionBlock) or _is_readable(one) for one in network.modules())


@torch.no_grad()
def view_attention(network: nn.Module, image: Tensor, patches: Sequence[int] = ()) -> Tensor:
    """The attention of `network` on `image` (1, channel, *space): float32 (*space), 0..1 for gates, of which the mean
    over all levels is shown; else the mean attention that each patch receives in the last block that attends, as a
    multiple of even attention. patches: how many along each axis; by default they are taken for squares (cubes).

    Raises ValueError when there is none, or when its patches are not on such a grid. High attention is no evidence.
    """
    gates = [one for one in network.modules() if isinstance(one, AttentionBlock)]
    blocks = [one for one in network.modules() if _is_readable(one)]
    if not gates and not blocks:
        raise ValueError("the network has no attention")
    seen: list[Tensor] = []
    hooks = [one.psi.register_forward_hook(lambda _module, _given, made: seen.append(made)) for one in gates]
    saved = [one.save_attn for one in blocks]
    try:
        for one in blocks:
            one.save_attn = True  # type: ignore[assignment]
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
        for one, before in zip(blocks, saved, strict=True):
            one.save_attn = before
    size = tuple(image.shape[2:])
    if gates:
        return torch.stack([enlarge(one[0, 0].cpu(), size) for one in seen]).mean(dim=0)
    return enlarge(_lay_patches(torch.as_tensor(blocks[-1].att_mat), patches, size), size)


def _is_readable(module: nn.Module) -> bool:
    return isinstance(module, SABlock) and not module.use_flash_attention


def _lay_patches(attention: Tensor, patches: Sequence[int], size: tuple[int, ...]) -> Tensor:
    """What each patch receives (*patches) of `attention` (1, head, from, to) of an image of `size`; a token before the
    patches is none."""
    received = attention[0].float().mean(dim=(0, 1)).cpu()
    counts = tuple(patches) or _count_patches(received.numel(), size)
    number = math.prod(counts)
    if received.numel() - number not in (0, 1):
        raise ValueError(f"{received.numel()} tokens are no grid of {counts} patches: say how many there are")
    return received[-number:].reshape(counts) * received.numel()


def _count_patches(tokens: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """How many along each axis, where so many of them, or all but one, fill `size` as squares (cubes)."""
    for number in (tokens, tokens - 1):
        edge = round((math.prod(size) / max(number, 1)) ** (1 / len(size)))
        counts = tuple(n // max(edge, 1) for n in size)
        if math.prod(counts) == number:
            return counts
    return ()
