"""Which items of a bundle's configuration inference needs, and what of them is ours to say.

Left out are: reading and writing of files (volumes come from the node, results go back to it), evaluator, handlers,
and with them nearly all that differs from bundle to bundle (`run` or `evaluating`, `imports` or `import`).
"""

import copy
import difflib
import re
from dataclasses import dataclass
from typing import Any

from pipelines.bundles.card import Card, Task
from pipelines.bundles.expressions import REFERENCE
from pipelines.bundles.scan import find_scripts
from pipelines.errors import BundleDrift, BundleUntrusted

READERS = {"LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst"}
"""Transforms for which a MetaTensor of the volume stands in."""
WRITERS = {"SaveImage", "SaveClassification", "DeleteItems"}
MERGES = {"Lambda"}
"""After a sigmoid: a function that folds overlapping classes into one label image. Each class is a segment of its own
here, under the name that the metadata give it."""
LOWRES = "displayable_configs#highres"


@dataclass(frozen=True, slots=True)
class Recipe:
    """config: the items that are parsed, and no other; `weights_path` is the checkpoint's path in the bundle."""

    config: dict[str, Any]
    task: Task
    image_key: str

    @property
    def wants_torchvision(self) -> bool:
        """True when a class of it borrows from torchvision."""
        return any(word in str(self.config) for word in ("TorchVision", "RetinaNet", "torchvision"))


def make_recipe(config: dict[str, Any], card: Card, choices: dict[str, Any], *, trusted: bool) -> Recipe:
    """The recipe of a scanned configuration. choices: item -> value, from the one who installed it.

    Raises BundleDrift when an item is missing, BundleUntrusted when one of them is code of the bundle's own.
    """
    config = copy.deepcopy(config)
    for item, value in (_find_defaults(config) | choices).items():
        _put(config, item, value)
    config["bundle_root"] = "."
    config["weights_path"] = _find_weights(config)
    key = str(config.get("image_key", "image"))
    roots = ["network_def", "preprocessing", "weights_path"]
    if card.task is Task.DETECTION:
        roots += ["detector", "detector_ops"]
    else:
        roots += ["inferer", "postprocessing"]
        _drop(config, "postprocessing", WRITERS | (MERGES if card.overlaps else set()))
    _drop(config, "preprocessing", READERS)
    kept = _reach(config, roots)
    if not trusted and (scripts := find_scripts(kept)):
        raise BundleUntrusted(f'it needs its own code ({", ".join(scripts)}); bundles.NAME.trust = "code" allows it')
    return Recipe(kept, card.task, key)


def _find_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """What holds for every volume that comes from a PACS.

    whether_raw_luna16: the volume has the scanner's spacing, so the nodule detector must resample it. highres: the
    1.5 mm whole body network wants more memory than most workers have. pretrained: weights are in the bundle.
    """
    found: dict[str, Any] = {}
    if "whether_raw_luna16" in config:
        found["whether_raw_luna16"] = True
    if "highres" in config.get("displayable_configs", {}):
        found[LOWRES] = False
    if isinstance(config.get("network_def"), dict) and "pretrained" in config["network_def"]:
        found["network_def#pretrained"] = False
    return found


def _put(config: dict[str, Any], item: str, value: Any) -> None:
    *path, last = re.split(r"#|::", item)
    place: Any = config
    for name in path:
        place = place[name] if isinstance(place, dict) and name in place else None
    if not isinstance(place, dict) or last not in place:
        raise BundleDrift(f"{item} is no item of its configuration")
    place[last] = value


def _find_weights(config: dict[str, Any]) -> Any:
    """The path of the checkpoint that the bundle itself would load."""
    loaders = [config.get("checkpointloader"), *(config.get("handlers") or [])]
    for loader in loaders:
        if isinstance(loader, dict) and str(loader.get("_target_", "")).endswith("CheckpointLoader"):
            return loader.get("load_path")
    return "./models/model.pt"


def find_kind(transform: Any) -> str:
    """`Spacing` of a transform `Spacingd`, `SpacingD` or `monai.transforms.SpacingDict`."""
    target = str(transform.get("_target_", "") if isinstance(transform, dict) else "").rpartition(".")[2]
    return re.sub(r"(d|D|Dict)$", "", target)


def _drop(config: dict[str, Any], item: str, kinds: set[str]) -> None:
    """Takes the transforms of `kinds` out of a Compose."""
    _require(config, item, "the bundle")
    try:
        transforms = config[item]["transforms"]
        config[item]["transforms"] = [step for step in transforms if find_kind(step) not in kinds]
    except (KeyError, TypeError) as error:
        raise BundleDrift(f"{item} is no list of transforms") from error


def _reach(config: dict[str, Any], roots: list[str]) -> dict[str, Any]:
    """`roots`, and what they refer to, and so on."""
    kept: dict[str, Any] = {"device": "cpu", "bundle_root": "."}
    waiting = [(root, "the bundle") for root in roots]
    while waiting:
        name, asker = waiting.pop()
        if name in kept:
            continue
        _require(config, name, asker)
        kept[name] = config[name]
        waiting += [(found, name) for found in _find_references(config[name])]
    return kept


def _require(config: dict[str, Any], name: str, asker: str) -> None:
    """Raises BundleDrift where `config` has no item `name`, and says which one may be meant."""
    if name not in config:
        meant = difflib.get_close_matches(name, config, 1)
        hint = f"; it has {meant[0]!r}" if meant else ""
        raise BundleDrift(f"{asker} needs the item {name!r}, which its configuration lacks{hint}")


def _find_references(value: Any) -> set[str]:
    """The top names that strings in `value` refer to."""
    if isinstance(value, dict):
        return set().union(*(_find_references(one) for one in value.values()))
    if isinstance(value, list):
        return set().union(*(_find_references(one) for one in value))
    if not isinstance(value, str):
        return set()
    if value.startswith("%"):
        return {re.split(r"#|::", value[1:])[0]}
    names = (re.split(r"#|::", match[1:])[0] for match in REFERENCE.findall(value))
    return {name for name in names if name}
