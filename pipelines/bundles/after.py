"""What a bundle does with its network's answer: its own postprocessing step by step, and the way back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from torch import Tensor

from pipelines.bundles.image import plain
from pipelines.bundles.recipe import Recipe, find_kind
from pipelines.bundles.windows import Decide

ACTIVE, DISCRETE = "Activations", "AsDiscrete"
DECISIVE = {ACTIVE, DISCRETE}
"""Transforms that make of scores what is there, each voxel for itself."""
Transform = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class After:
    """kind: `Invert` of a transform `Invertd`."""

    kind: str
    transform: Transform


def list_steps(compose: Compose, recipe: Recipe) -> list[After]:
    """The steps of a bundle's postprocessing, in order."""
    kinds = [find_kind(step) for step in recipe.config["postprocessing"]["transforms"]]
    made = [step for step in compose.transforms if step is not None]
    if len(kinds) != len(made):
        kinds = [find_kind({"_target_": type(step).__name__}) for step in made]
    return [After(kind, step) for kind, step in zip(kinds, made, strict=True)]


def apply(steps: Sequence[After], data: dict[str, Any]) -> dict[str, Any]:
    """`data` after `steps`."""
    for step in steps:
        data = step.transform(data)
    return data


def nearest_after_arg_max(steps: Sequence[After], before: Compose, key: str, *, decided: bool) -> list[After]:
    """The steps with the way back in them. Labels are laid back by the nearest voxel, whatever the bundle says: between
    classes 0 and 2 a linear way back invents class 1. A bundle without a way back gets one, at the end."""
    nearest = After("Invert", Invertd("pred", before, orig_keys=key, nearest_interp=True, to_tensor=True))
    found: list[After] = []
    for step in steps:
        decided = decided or (step.kind == DISCRETE and bool(getattr(step.transform, "argmax", (False,))[0]))
        found.append(nearest if step.kind == "Invert" and decided else step)
    if not any(step.kind == "Invert" for step in found):
        found.append(nearest)
    return found


def lay_decided(steps: Sequence[After], before: Compose, key: str, *, overlaps: bool) -> list[After]:
    """What is left of `steps` for an answer that is decided: labels, or masks where classes may overlap."""
    left = [one for one in steps if one.kind not in DECISIVE]
    nearest = nearest_after_arg_max(left, before, key, decided=True)
    each = [After(one.kind, take_each(one.transform)) if one.kind == "Invert" else one for one in nearest]
    return each if overlaps else nearest


def decide_each(steps: Sequence[After]) -> Decide:
    """For classes that may overlap: where each is, by the bundle's own activation and threshold."""
    own = [one for one in steps if one.kind in DECISIVE]

    def decide(means: Tensor) -> Tensor:
        return plain(apply(own, {"pred": MetaTensor(means)})["pred"]) > 0.5

    return decide


def to_chances(steps: Sequence[After], *, overlaps: bool) -> Decide:
    """Probabilities of scores (class, *space): by the bundle's own activation; where it has none, scores that are
    between 0 and 1 are probabilities, and others are made such."""
    own = [one for one in steps if one.kind == ACTIVE]

    def activate(means: Tensor) -> Tensor:
        if own:
            return plain(apply(own, {"pred": MetaTensor(means)})["pred"])
        if 0 <= float(means.min()) <= float(means.max()) <= 1:
            return means
        return means.sigmoid() if overlaps or len(means) == 1 else means.softmax(dim=0)

    return activate


def take_each(transform: Transform) -> Transform:
    """`transform` for masks, a channel at a time: only one of them is ever kept as floats."""

    def take(data: dict[str, Any]) -> dict[str, Any]:
        channels = plain(data["pred"])
        taken: Tensor | None = None
        for n, channel in enumerate(channels):
            one = plain(transform({**data, "pred": MetaTensor(channel[None].float())})["pred"])[0] > 0.5
            if taken is None:  # in the order in which it is read at last: from_image turns the axes around
                taken = torch.empty((len(channels), *reversed(one.shape)), dtype=torch.bool).permute(0, 3, 2, 1)
            taken[n] = one
        return {**data, "pred": taken}

    return take
