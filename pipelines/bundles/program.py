"""A bundle brought to life, in the process made for it: network, transforms and inferer out of MONAI's own parser."""

import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.bundles.after import (
    After,
    apply,
    decide_each,
    lay_decided,
    list_steps,
    nearest_after_arg_max,
    to_chances,
)
from pipelines.bundles.again import search_again
from pipelines.bundles.boxes import Reported
from pipelines.bundles.card import Card, Task
from pipelines.bundles.checkpoint import load_weights
from pipelines.bundles.detect import Detector, Scene, Tell, list_boxes
from pipelines.bundles.explain import draw, find_deviation, view_windows
from pipelines.bundles.hide import draw_boxes
from pipelines.bundles.image import from_image, plain, to_image, to_picture
from pipelines.bundles.install import Installed
from pipelines.bundles.layout import lay_out
from pipelines.bundles.members import list_members
from pipelines.bundles.numbers import refuse_nan
from pipelines.bundles.reader import Reader
from pipelines.bundles.recipe import Recipe
from pipelines.bundles.shortage import is_shortage
from pipelines.bundles.sparing import spare
from pipelines.bundles.steady import count_voxels, decide_both, find_anything, read_changed, weigh
from pipelines.bundles.tail import Tail, take_tail
from pipelines.bundles.ways import MOVES, STEADY
from pipelines.bundles.windows import Decide, Look, pick_highest
from pipelines.bundles.winograd import quicken
from pipelines.errors import BundleDrift, BundleRefused, PipelineError, UnsuitableVolume
from pipelines.explanation.scale import normalize
from pipelines.explanation.spread import find_spread
from pipelines.repeatable import make_repeatable
from pipelines.terms import Affine

MANY_CLASSES = 32
"""Beyond so many classes, sums are decided while windows go by."""
PATCH = (32, 32, 32)
"""Voxels of a window on which a network shows its last layer."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network said. arrays: "labels" uint8 or uint16 (k, j, i); or "masks" bool (class, k, j, i); or "boxes"
    float64 (n, 2, 3), lower and upper corners in indices (k, j, i), with "scores" float64 (n,) and "classes" uint16
    (n,), numbers of Card.outputs; or "probabilities" float64 (class,). Of an explanation "map" float32 (k, j, i) 0..1,
    "counts" float64 (number of an output, reading): its voxels, "deviation" float64 (1,): that of the most probable
    class, "again" float64 (box, reading): see search_again, or "drops" float64 (box,): see draw_boxes."""

    arrays: dict[str, NDArray[Any]]


class Program:
    """A loaded bundle on one device."""

    def __init__(
        self, installed: Installed, device: str, *, trusted: bool, sparing: bool = False, weights: str = ""
    ) -> None:
        """sparing: with smaller windows, where it has windows. weights: path in the bundle, else that which its
        configuration names. Raises BundleError. Call in a confined process."""
        self._card: Card = installed.card
        self._device = device
        self._load = partial(Program, installed, device, trusted=trusted, sparing=sparing)
        self._members = list_members(installed.lock)
        recipe = installed.make_recipe(trusted=trusted)
        self._task, self._key = recipe.task, recipe.image_key
        if trusted:
            sys.path.insert(0, str(installed.folder))
        parser = _parse(recipe, device)
        self._network: nn.Module = _make(parser, "network_def").to(device)
        load_weights(self._network, installed, weights or str(_make(parser, "weights_path")), trusted=trusted)
        self._network.eval()
        refuse_nan(self._network)
        self._before: Compose = _make(parser, "preprocessing")
        if self._task is Task.DETECTION:
            _make(parser, "detector_ops")
            self._detector = Detector(_make(parser, "detector"), device)
        else:
            self._reader = Reader(_make(parser, "inferer"), device)
            self._after = list_steps(_make(parser, "postprocessing"), recipe)
        inferer: Any = self._detector.inferer if self._task is Task.DETECTION else self._reader.inferer
        self.is_spared = sparing and spare(inferer)
        lay_out(self._network)
        self._tail = self._take_tail()
        if device == "cpu":
            quicken(self._network)

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
                step(0.1, "detect")
                scene = self._detector.see(data[self._key], volumes[0].shape, affine)
                return Answer(list_boxes(self._detector.find, scene))
            return self._segment(data, volumes[0].shape, step)

    def _classify(self, voxels: NDArray[np.float32], step: Step) -> Answer:
        if voxels.shape[0] != 1:
            raise UnsuitableVolume(f"the bundle reads single pictures, not {voxels.shape[0]} planes")
        data = self._before({self._key: to_picture(voxels, self._card.channels)})
        step(0.3, "classify")
        data["pred"] = self._reader.inferer(data[self._key][None].to(self._device), self._network)[0].float().cpu()
        scores = np.asarray(apply(self._after, data)["pred"], np.float64).reshape(-1)
        return Answer({"probabilities": scores})

    def explain(
        self,
        volumes: Sequence[NDArray[np.float32]],
        affine: Affine,
        way: str,
        step: Step,
        boxes: Reported | None = None,
    ) -> Answer:
        """Why, or how steadily, the answer on `volumes` is what it is: "map", of a classification's "tta" "deviation"
        instead, of a segmentation's "counts" as well; of a detection's boxes, `boxes`, "again" instead, or
        "drops" as well. Raises BundleDrift where the map cannot be laid back on the images, UnsuitableVolume."""
        step(0.0, "explain")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._task is Task.CLASSIFICATION:
                return self._explain_class(volumes[0], way)
            data = self._before({self._key: to_image(volumes, affine)})
            with torch.autocast("cuda", enabled=self._device.startswith("cuda")):
                if self._task is Task.DETECTION:
                    scene = self._detector.see(data[self._key], volumes[0].shape, affine)
                    return self._explain_boxes(way, scene, boxes, lambda share: step(share, "explain"))
                made = self._vary if way in STEADY else self._view
                return made(way, data, volumes[0].shape, step)

    @torch.inference_mode()
    def _explain_boxes(self, way: str, scene: Scene, reported: Reported | None, tell: Tell) -> Answer:
        if reported is None:
            raise UnsuitableVolume("boxes are explained where it is said which")
        if way == "tta":
            return Answer({"again": search_again(self._detector.find, scene, reported, tell)})
        drawn, drops = draw_boxes(self._detector.rater, scene, reported, tell)
        return Answer({"map": drawn, "drops": drops})

    def _explain_class(self, voxels: NDArray[np.float32], way: str) -> Answer:
        if voxels.shape[0] != 1:
            raise UnsuitableVolume("only classes of single pictures are explained")
        data = self._before({self._key: to_picture(voxels, self._card.channels)})
        image = plain(data[self._key])[None].float().to(self._device)
        number = int(self._ask(image).argmax())
        if way in STEADY:
            found = find_deviation(self._ask, image) if way == "tta" else self._ask_members(image)
            return Answer({"deviation": found[number : number + 1].double().numpy()})
        return Answer({"map": self._lay_back(data, draw(way, self._network, image, number), voxels.shape)})

    @torch.no_grad()
    def _ask(self, image: Tensor) -> Tensor:
        """The probabilities (class,) of a picture as the network reads it."""
        pred = self._reader.inferer(image, self._network)[0].float().cpu()
        return plain(apply(self._after, {"pred": pred})["pred"]).reshape(-1)

    def _ask_members(self, image: Tensor) -> Tensor:
        """The deviation of each probability (class,) over the sets of weights."""
        return find_spread(one._ask(image) for one in self._load_members()).deviation

    def _load_members(self) -> "Iterator[Program]":
        """The bundle with each of its sets of weights, one at a time. Raises BundleDrift where it has not several."""
        if not self._members:
            raise BundleDrift("it has not several sets of weights: models/model_fold0.pt, models/model_fold1.pt ...")
        for path in self._members:
            member = self._load(weights=path)
            make_repeatable()
            yield member

    @torch.inference_mode()
    def _vary(self, way: str, data: dict[str, Any], shape: tuple[int, ...], step: Step) -> Answer:
        """How steady a segmentation is: the map of its entropy, and of each reading the voxels of each class."""
        card, activate = self._card, to_chances(self._after, overlaps=self._card.overlaps)
        alone = decide_each(self._after) if card.overlaps or card.classes == 1 else pick_highest
        chance = partial(find_anything, channels=[*card.outputs], overlaps=card.overlaps)
        decide = self._expect_all(decide_both(alone, lambda means: chance(activate(means))))
        steps = lay_decided(self._after, self._before, self._key, overlaps=card.overlaps)

        def count(decided: Tensor) -> NDArray[np.float64]:
            pred = decided > 0 if card.overlaps else decided.float()
            return count_voxels(self._conclude({**data, "pred": MetaTensor(pred)}, steps, shape).arrays, card.numbers)

        image = plain(data[self._key]).float()
        if way == "tta":
            number, any_size = len(MOVES), self._reader.takes_any_size
            readings = read_changed(partial(self._read, decide), image, takes_any_size=any_size)
        else:
            number, readings = len(self._members), (one._read(decide, image) for one in self._load_members())
        entropy, counts = weigh(readings, number, count, lambda share: step(0.95 * share, "explain"))
        return Answer({"map": self._lay_back(data, entropy, shape), "counts": counts})

    def _read(self, decide: Decide, image: Tensor) -> Tensor:
        """What `decide` says of an image (channel, *space), which goes through the windows of an answer."""
        return self._reader.read(image[None], self._look, decide, self._tail)

    @torch.inference_mode()
    def _view(self, way: str, data: dict[str, Any], shape: tuple[int, ...], step: Step) -> Answer:
        """Where the network looks, window by window."""
        look = self._watch(lambda share, _: step(share, "explain"), view_windows(way, self._network))
        drawn = self._reader.read(data[self._key][None], look)[0]
        return Answer({"map": self._lay_back(data, normalize(drawn), shape)})

    def _lay_back(self, data: dict[str, Any], drawn: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """`drawn` (*space), on the grid of the image in `data`, as the volume was before anything was done to it."""
        back = Invertd("pred", self._before, orig_keys=self._key, nearest_interp=False, to_tensor=True)
        try:
            flat = plain(back({**data, "pred": MetaTensor(drawn[None])})["pred"])[0]
        except (RuntimeError, ValueError, KeyError) as error:
            raise BundleDrift(f"its preprocessing has no way back: {type(error).__name__}") from error
        laid = flat.permute(2, 1, 0) if flat.ndim == 3 else flat.T[None]
        if tuple(laid.shape) != shape:
            raise BundleDrift(f"its map comes back as {tuple(laid.shape)}, the images have {shape}")
        return np.ascontiguousarray(laid.nan_to_num().clamp(0.0, 1.0).numpy(), np.float32)

    def _segment(self, data: dict[str, Any], shape: tuple[int, ...], step: Step) -> Answer:
        steps = self._infer(data, step)
        step(0.8, "lay back")
        return self._conclude(data, steps, shape)

    def _conclude(self, data: dict[str, Any], steps: Sequence[After], shape: tuple[int, ...]) -> Answer:
        """What is in `data` after `steps`, on the volume's own grid."""
        pred = from_image(plain(apply(steps, data)["pred"]))
        if tuple(pred.shape[1:]) != shape:
            raise BundleDrift(f"its answer has the shape {tuple(pred.shape[1:])}, the images have {shape}")
        return self._decide(pred)

    def _infer(self, data: dict[str, Any], step: Step) -> list[After]:
        """Puts the network's answer into `data`; returns the steps that are left for it. Many classes are decided while
        windows go by: labels, or masks where classes may overlap."""
        look, image, overlaps = self._watch(step, self._look), data[self._key][None], self._card.overlaps
        if self._reader.slides and image.ndim == 5 and self._card.classes > MANY_CLASSES:
            decide = self._expect_all(decide_each(self._after) if overlaps else pick_highest)
            pred = self._reader.read(image, look, decide, self._tail)
            data["pred"] = MetaTensor(pred if overlaps else pred.float())
            return lay_decided(self._after, self._before, self._key, overlaps=overlaps)
        pred = self._reader.read(image, look)
        if pred.shape[0] != 1:
            self._check_channels(pred)
        data["pred"] = MetaTensor(pred)
        labels = pred.shape[0] == 1 and not overlaps
        return nearest_after_arg_max(self._after, self._before, self._key, decided=labels)

    def _expect_all(self, decide: Decide) -> Decide:
        """`decide`, of means that have each class of the metadata."""

        def decide_checked(means: Tensor) -> Tensor:
            self._check_channels(means)
            return decide(means)

        return decide_checked

    def _check_channels(self, means: Tensor) -> None:
        """Classes would be taken for others where the numbers differ."""
        if means.shape[0] != self._card.classes:
            said = f"its metadata say {self._card.classes}"
            raise BundleDrift(f"its network has {means.shape[0]} output channels, {said}")

    def _take_tail(self) -> Tail | None:
        """The last layer, where many classes are decided while windows go by."""
        if self._task is not Task.SEGMENTATION or not self._reader.slides or self._card.classes <= MANY_CLASSES:
            return None
        try:
            return take_tail(self._network, torch.zeros(1, self._card.channels, *PATCH, device=self._device))
        except (RuntimeError, ValueError) as error:
            if is_shortage(error):
                raise
            return None  # a network that reads no window of this size is taken as it is

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

    @staticmethod
    def _watch(step: Step, look: Look) -> Look:
        """`look`, telling as windows go by."""
        windows = 0

        def watched(patch: Tensor) -> Tensor:
            nonlocal windows
            windows += 1
            step(0.8 - 0.7 * 0.95**windows, "segment")
            return look(patch)

        return watched

    def _look(self, patch: Tensor) -> Tensor:
        """What the network says of windows; of several answers the first."""
        logits = self._network(patch)
        return logits[0] if isinstance(logits, (tuple, list)) else logits  # type: ignore[no-any-return]


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
