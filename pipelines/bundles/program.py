"""A bundle brought to life, in the process made for it: network, transforms and inferer out of MONAI's own parser."""

import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import SliceInferer, SlidingWindowInferer
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.bundles.card import Card, Task
from pipelines.bundles.checkpoint import load_weights
from pipelines.bundles.explain import draw, find_deviation
from pipelines.bundles.image import from_image, to_image, to_indices, to_picture
from pipelines.bundles.install import Installed
from pipelines.bundles.layout import lay_out
from pipelines.bundles.numbers import refuse_nan
from pipelines.bundles.recipe import Recipe, find_kind
from pipelines.bundles.shortage import is_shortage
from pipelines.bundles.sparing import spare
from pipelines.bundles.tail import Tail, take_tail
from pipelines.bundles.windows import Decide, decide_windows, keep_means, pick_highest
from pipelines.errors import BundleDrift, BundleRefused, PipelineError, UnsuitableVolume
from pipelines.terms import Affine

MANY_CLASSES = 32
"""Beyond so many classes, sums are decided while windows go by."""
PATCH = (32, 32, 32)
"""Voxels of a window on which a network shows its last layer."""
DECISIVE = {"Activations", "AsDiscrete"}
"""Transforms that make of scores what is there, each voxel for itself."""
HOMES = ("monai.", "torch.", "ignite.")
PATHS = types.SimpleNamespace(join=lambda *parts: str(PurePosixPath(*parts)))
PLAIN = (
    abs,
    all,
    any,
    bool,
    dict,
    enumerate,
    float,
    int,
    len,
    list,
    max,
    min,
    range,
    round,
    set,
    sorted,
    str,
    sum,
    tuple,
)
GLOBALS = {
    "__builtins__": {function.__name__: function for function in (*PLAIN, zip)},
    "os": types.SimpleNamespace(path=PATHS),
}
"""What an expression can reach, beside torch, numpy and monai: no open, no import, and of os only path.join."""
Step = Callable[[float, str], None]
Transform = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network said. arrays: "labels" uint8 or uint16 (k, j, i); or "masks" bool (class, k, j, i); or "boxes"
    float64 (n, 2, 3), lower and upper corners in indices (k, j, i), with "scores" float64 (n,) and "classes" uint16
    (n,), numbers of Card.outputs; or "probabilities" float64 (class,). Of an explanation "map" float32 (k, j, i), or
    "deviation" float64 (1,): that of the most probable class."""

    arrays: dict[str, NDArray[Any]]


class Program:
    """A loaded bundle on one device."""

    def __init__(self, installed: Installed, device: str, *, trusted: bool, sparing: bool = False) -> None:
        """sparing: with smaller windows, where it has windows. Raises BundleError. Call in a confined process."""
        self._card: Card = installed.card
        self._device = device
        recipe = installed.make_recipe(trusted=trusted)
        self._task, self._key = recipe.task, recipe.image_key
        if trusted:
            sys.path.insert(0, str(installed.folder))
        parser = _parse(recipe, device)
        self._network: nn.Module = _make(parser, "network_def").to(device)
        load_weights(self._network, installed, str(_make(parser, "weights_path")), trusted=trusted)
        self._network.eval()
        refuse_nan(self._network)
        self._before: Compose = _make(parser, "preprocessing")
        if self._task is Task.DETECTION:
            _make(parser, "detector_ops")
            self._detector = _make(parser, "detector")
            self._detector.eval()
        else:
            self._inferer = _make(parser, "inferer")
            self._after = _list_steps(_make(parser, "postprocessing"), recipe)
        inferer: Any = self._detector.inferer if self._task is Task.DETECTION else self._inferer
        self.is_spared = sparing and spare(inferer)
        lay_out(self._network)
        self._tail = self._take_tail()

    @torch.inference_mode()
    def run(self, volumes: Sequence[NDArray[np.float32]], affine: Affine, step: Step) -> Answer:
        """The answer on `volumes` (k, j, i), all on the grid of `affine`. Raises BundleDrift, UnsuitableVolume."""
        with torch.autocast("cuda", enabled=self._device.startswith("cuda")), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._task is Task.CLASSIFICATION:
                return self._classify(volumes[0], step)
            step(0.0, "prepare")
            data = self._before({self._key: to_image(volumes, affine)})
            if self._task is Task.DETECTION:
                return self._detect(data[self._key], volumes[0].shape, affine, step)
            return self._segment(data, volumes[0].shape, step)

    def _classify(self, voxels: NDArray[np.float32], step: Step) -> Answer:
        if voxels.shape[0] != 1:
            raise UnsuitableVolume(f"the bundle reads single pictures, not {voxels.shape[0]} planes")
        data = self._before({self._key: to_picture(voxels, self._card.channels)})
        step(0.3, "classify")
        data["pred"] = self._inferer(data[self._key][None].to(self._device), self._network)[0].float().cpu()
        scores = np.asarray(_apply(self._after, data)["pred"], np.float64).reshape(-1)
        return Answer({"probabilities": scores})

    def explain(self, voxels: NDArray[np.float32], way: str, step: Step) -> Answer:
        """Why a classification of `voxels` (1, j, i) is what it is: "deviation" for "tta", else "map".
        Raises BundleDrift where the map cannot be laid back on the picture, UnsuitableVolume."""
        if self._task is not Task.CLASSIFICATION or voxels.shape[0] != 1:
            raise UnsuitableVolume("only classes of single pictures are explained")
        step(0.0, "explain")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = self._before({self._key: to_picture(voxels, self._card.channels)})
            image = _plain(data[self._key])[None].float().to(self._device)
            number = int(self._ask(image).argmax())
            if way == "tta":
                return Answer({"deviation": find_deviation(self._ask, image)[number : number + 1].double().numpy()})
            drawn = draw(way, self._network, image, number)
            data["pred"] = MetaTensor(drawn[None])
            return Answer({"map": self._lay_back(data, voxels.shape)})

    @torch.no_grad()
    def _ask(self, image: Tensor) -> Tensor:
        """The probabilities (class,) of a picture as the network reads it."""
        pred = self._inferer(image, self._network)[0].float().cpu()
        return _plain(_apply(self._after, {"pred": pred})["pred"]).reshape(-1)

    def _lay_back(self, data: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The map in `data`, as the picture was before anything was done to it."""
        back = Invertd("pred", self._before, orig_keys=self._key, nearest_interp=False, to_tensor=True)
        try:
            laid = _plain(back(data)["pred"])[0].T[None]
        except (RuntimeError, ValueError, KeyError) as error:
            raise BundleDrift(f"its preprocessing has no way back: {type(error).__name__}") from error
        if tuple(laid.shape) != shape:
            raise BundleDrift(f"its map comes back as {tuple(laid.shape)}, the picture has {shape}")
        return np.ascontiguousarray(laid.clamp(0.0, 1.0).numpy(), np.float32)

    def _segment(self, data: dict[str, Any], shape: tuple[int, ...], step: Step) -> Answer:
        steps = self._infer(data, step)
        step(0.8, "lay back")
        pred = from_image(_plain(_apply(steps, data)["pred"]))
        if tuple(pred.shape[1:]) != shape:
            raise BundleDrift(f"its answer has the shape {tuple(pred.shape[1:])}, the images have {shape}")
        return self._decide(pred)

    def _infer(self, data: dict[str, Any], step: Step) -> "list[_Step]":
        """Puts the network's answer into `data`; returns the steps that are left for it."""
        look, image = self._watch(step), data[self._key][None]
        slides = self._slides and image.ndim == 5
        if slides and self._card.classes > MANY_CLASSES:
            return self._infer_early(data, look)
        if slides:
            pred = decide_windows(_plain(image), look, self._inferer, self._device, keep_means)
        else:
            if isinstance(self._inferer, (SliceInferer, SlidingWindowInferer)):
                self._inferer.sw_device, self._inferer.device = self._device, "cpu"
            pred = self._inferer(image, look)[0].float().cpu()
        if pred.shape[0] not in {1, self._card.classes}:
            raise BundleDrift(f"its network has {pred.shape[0]} output channels, its metadata say {self._card.classes}")
        data["pred"] = MetaTensor(pred)
        labels = pred.shape[0] == 1 and not self._card.overlaps
        return _nearest_after_arg_max(self._after, self._before, self._key, decided=labels)

    @property
    def _slides(self) -> bool:
        """Whether windows go over a volume as MONAI's own inferer has them, which ours does in less memory."""
        inferer: Any = getattr(self, "_inferer", None)
        return (
            type(inferer) is SlidingWindowInferer
            and inferer.roi_size is not None
            and np.size(inferer.roi_size) in {1, 3}
        )

    def _take_tail(self) -> Tail | None:
        """The last layer, where many classes are decided while windows go by."""
        if not self._slides or self._card.classes <= MANY_CLASSES:
            return None
        try:
            return take_tail(self._network, torch.zeros(1, self._card.channels, *PATCH, device=self._device))
        except (RuntimeError, ValueError) as error:
            if is_shortage(error):
                raise
            return None  # a network that reads no window of this size is taken as it is

    def _infer_early(self, data: dict[str, Any], look: Callable[[Tensor], Tensor]) -> "list[_Step]":
        """As _infer, with all decided while windows go by: labels, or masks where classes may overlap."""
        overlaps = self._card.overlaps
        decide = _decide_each(self._after) if overlaps else pick_highest
        pred = decide_windows(_plain(data[self._key][None]), look, self._inferer, self._device, decide, self._tail)
        data["pred"] = MetaTensor(pred if overlaps else pred.float())
        left = [one for one in self._after if one.kind not in DECISIVE]
        steps = _nearest_after_arg_max(left, self._before, self._key, decided=True)
        each = [_Step(one.kind, _take_each(one.transform)) if one.kind == "Invert" else one for one in steps]
        return each if overlaps else steps

    def _decide(self, pred: Tensor) -> Answer:
        """Labels, or masks where the output channels may overlap; from scores, where the bundle left them so."""
        kind = np.uint8 if self._card.classes <= 256 else np.uint16
        if pred.shape[0] == 1 and not self._card.overlaps:
            return Answer({"labels": np.ascontiguousarray(pred[0].round().numpy().astype(kind))})
        if pred.shape[0] != self._card.classes:
            raise BundleDrift(f"its answer has {pred.shape[0]} channels, its metadata say {self._card.classes}")
        if self._card.overlaps:
            masks = pred if pred.dtype == torch.bool else pred > 0.5
            return Answer({"masks": np.ascontiguousarray(masks.numpy())})
        return Answer({"labels": np.ascontiguousarray(pred.argmax(0).numpy().astype(kind))})

    def _detect(self, image: MetaTensor, shape: tuple[int, ...], affine: Affine, step: Step) -> Answer:
        step(0.1, "detect")
        window = getattr(self._detector.inferer, "roi_size", None)
        large = window is not None and image[0].numel() >= int(np.prod(window))
        if large:
            self._detector.inferer.sw_device = self._device
        plain = image.as_tensor().float().to(self._device)
        (found,) = self._detector([plain], use_inferer=large)
        boxes = found[self._detector.target_box_key].double().cpu().numpy().reshape(-1, 6)
        scores = found[self._detector.pred_score_key].double().cpu().numpy().reshape(-1)
        classes = found[self._detector.target_label_key].cpu().numpy().reshape(-1).astype(np.uint16)
        corners = to_indices(boxes, np.asarray(image.affine, np.float64), affine)
        limits = np.asarray(shape) - 0.5
        corners = np.clip(corners, -0.5, limits)
        whole = (corners[:, 1] - corners[:, 0] > 1e-3).all(axis=1)
        return Answer({"boxes": corners[whole], "scores": scores[whole], "classes": classes[whole]})

    def _watch(self, step: Step) -> Callable[[Tensor], Tensor]:
        """The network, telling as windows go by."""
        windows = 0

        def look(patch: Tensor) -> Tensor:
            nonlocal windows
            windows += 1
            step(0.8 - 0.7 * 0.95**windows, "segment")
            logits = self._network(patch)
            return logits[0] if isinstance(logits, (tuple, list)) else logits  # type: ignore[no-any-return]

        return look


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    kind: str
    transform: Transform


def _parse(recipe: Recipe, device: str) -> ConfigParser:
    config = dict(recipe.config) | {"device": f"$torch.device({device!r})"}
    parser = ConfigParser(config, globals=GLOBALS)
    parser.parse(reset=True)
    return parser


def _make(parser: ConfigParser, item: str) -> Any:
    """What the item `item` makes. Raises BundleDrift with the class and the reason when it cannot be made."""
    try:
        _check_homes(parser)
        return parser.get_parsed_content(item)
    except MemoryError:
        raise
    except Exception as error:  # MONAI raises what its classes raise
        root: BaseException = error
        while root.__cause__ is not None and not isinstance(root, PipelineError):
            root = root.__cause__
        if isinstance(root, PipelineError):
            raise root from None
        if is_shortage(error):
            raise MemoryError from error
        raise BundleDrift(f"{item} cannot be made: {type(root).__name__}: {root}") from error


def _check_homes(parser: ConfigParser) -> None:
    """A bare name is looked up all over MONAI: what it led to must be a class of the library, not a thing that some
    module of it happens to import. Raises BundleRefused."""
    import pydoc

    for item in parser.ref_resolver.items.values():
        resolve = getattr(item, "resolve_module_name", None)
        if resolve is None:
            continue
        path = resolve()
        if path.startswith("scripts."):
            continue  # only where the site trusts them
        found = pydoc.locate(path)
        if found is None:
            raise BundleDrift(f"{path.rpartition('.')[2]!r} is no class of this version of MONAI")
        if path != "torch.device" and not (isinstance(found, type) and f"{found.__module__}.".startswith(HOMES)):
            raise BundleRefused(f"_target_ {path!r} leads to no class of MONAI or torch")


def _list_steps(compose: Compose, recipe: Recipe) -> list[_Step]:
    kinds = [find_kind(step) for step in recipe.config["postprocessing"]["transforms"]]
    made = [step for step in compose.transforms if step is not None]
    if len(kinds) != len(made):
        kinds = [find_kind({"_target_": type(step).__name__}) for step in made]
    return [_Step(kind, step) for kind, step in zip(kinds, made, strict=True)]


def _apply(steps: Sequence[_Step], data: dict[str, Any]) -> dict[str, Any]:
    for step in steps:
        data = step.transform(data)
    return data


def _nearest_after_arg_max(steps: Sequence[_Step], before: Compose, key: str, *, decided: bool) -> list[_Step]:
    """The steps with the way back in them. Labels are laid back by the nearest voxel, whatever the bundle says: between
    classes 0 and 2 a linear way back invents class 1. A bundle without a way back gets one, at the end."""
    nearest = _Step("Invert", Invertd("pred", before, orig_keys=key, nearest_interp=True, to_tensor=True))
    found: list[_Step] = []
    for step in steps:
        decided = decided or (step.kind == "AsDiscrete" and bool(getattr(step.transform, "argmax", (False,))[0]))
        found.append(nearest if step.kind == "Invert" and decided else step)
    if not any(step.kind == "Invert" for step in found):
        found.append(nearest)
    return found


def _plain(tensor: Tensor) -> Tensor:
    """Without what MONAI keeps beside it."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else torch.as_tensor(tensor)


def _decide_each(steps: Sequence[_Step]) -> Decide:
    """For classes that may overlap: where each is, by the bundle's own activation and threshold."""
    own = [one for one in steps if one.kind in DECISIVE]

    def decide(means: Tensor) -> Tensor:
        return _plain(_apply(own, {"pred": MetaTensor(means)})["pred"]) > 0.5

    return decide


def _take_each(transform: Transform) -> Transform:
    """`transform` for masks, a channel at a time: only one of them is ever kept as floats."""

    def take(data: dict[str, Any]) -> dict[str, Any]:
        channels = _plain(data["pred"])
        taken: Tensor | None = None
        for n, channel in enumerate(channels):
            one = _plain(transform({**data, "pred": MetaTensor(channel[None].float())})["pred"])[0] > 0.5
            if taken is None:  # in the order in which it is read at last: from_image turns the axes around
                taken = torch.empty((len(channels), *reversed(one.shape)), dtype=torch.bool).permute(0, 3, 2, 1)
            taken[n] = one
        return {**data, "pred": taken}

    return take
