"""What a network may answer: numbers. Of NaN the first class is the highest one and no box is kept, so that a network
gone wrong would say "background" everywhere, and a report of it that nothing was found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pipelines.errors import BundleDrift


def refuse_nan(network: nn.Module) -> None:
    """Has `network` raise BundleDrift from now on where it answers NaN."""
    network.register_forward_hook(_check)


def _check(_network: nn.Module, _given: Any, answer: Any) -> None:
    if any(bool(tensor.isnan().any()) for tensor in _find_tensors(answer)):
        raise BundleDrift(
            "its network answers NaN, which is no number: its weights may be damaged, its preprocessing may divide by"
            " zero, or half precision, as on a GPU, is too little for it"
        )


def _find_tensors(answer: Any) -> Iterator[Tensor]:
    """The tensors of floats in what a network gives: one, or several in lists and dicts, as those of a detector."""
    if isinstance(answer, Tensor):
        if answer.is_floating_point():
            yield answer
    elif isinstance(answer, Mapping):
        yield from _find_tensors(list(answer.values()))
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        for one in answer:
            yield from _find_tensors(one)
