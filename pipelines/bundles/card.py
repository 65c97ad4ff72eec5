"""What a bundle says of itself in configs/metadata.json: its name, what it reads, what it gives."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipelines.errors import BundleDrift

MODALITIES = {"mri": "MR", "mammogram": "MG", "mammography": "MG", "x-ray": "DX", "xray": "DX", "pet": "PT"}
MOST_CLASSES = 1 << 16
"""Labels are uint16 at most."""
BACKGROUND = {"background", "bg", "others", "everything else"}


class Task(StrEnum):
    """What comes out of a bundle."""

    SEGMENTATION = "segmentation"
    DETECTION = "detection"
    CLASSIFICATION = "classification"


@dataclass(frozen=True, slots=True)
class Card:
    """modality: DICOM's. inputs: names of the input channels. channels: how many images the network reads at once.
    outputs: output channel, in order, -> label, background left out; empty where the bundle does not say. Of a
    classification every class has one, from 0. classes: how many output channels there are."""

    title: str
    version: str
    description: str
    authors: str
    intended_use: str
    modality: str
    channels: int
    inputs: tuple[str, ...]
    outputs: dict[int, str]
    classes: int
    task: Task

    @property
    def overlaps(self) -> bool:
        """True when there is no background among the output channels: each is a mask of its own."""
        return self.task is Task.SEGMENTATION and 0 in self.outputs

    @property
    def numbers(self) -> int:
        """How many numbers there are from 0 to that of the last output."""
        return max(self.outputs, default=0) + 1


def make_key(label: str) -> str:
    """`kidney-right` of "kidney_right"."""
    return "-".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def read_card(data: dict[str, Any]) -> Card:
    """The card in the JSON object `data`. Raises BundleDrift that names the key at fault."""
    try:
        formats = data["network_data_format"]
        (image, *others), pred = formats["inputs"].values(), formats["outputs"]["pred"]
        if others:
            raise BundleDrift("metadata.json: network_data_format#inputs has several inputs; only one is read")
        names = dict(sorted((int(number), str(name)) for number, name in pred.get("channel_def", {}).items()))
        task = _find_task(pred)
        classes = int(pred.get("num_channels", len(names)))
        _check_channels(names, classes, task)
        keep_all = task is not Task.SEGMENTATION
        return Card(
            title=str(data.get("name") or data["task"]),
            version=re.sub(r"[^0-9A-Za-z.]", ".", str(data["version"])),
            description=str(data.get("description", "")),
            authors=str(data.get("authors", "")),
            intended_use=str(data.get("intended_use", "")),
            modality=MODALITIES.get(str(image["modality"]).lower(), str(image["modality"]).upper()),
            channels=int(image["num_channels"]),
            inputs=tuple(str(name) for _, name in sorted(image.get("channel_def", {}).items())),
            outputs={n: name for n, name in names.items() if keep_all or name.lower() not in BACKGROUND},
            classes=classes,
            task=task,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleDrift(f"metadata.json: {type(error).__name__} {error}") from error


def _check_channels(names: dict[int, str], classes: int, task: Task) -> None:
    """Raises BundleDrift where a number that the network gives could not be told to be one of `names`."""
    if not 0 <= classes <= MOST_CLASSES:
        raise BundleDrift(f"metadata.json: outputs#pred has {classes} channels, at most {MOST_CLASSES} are read")
    if task is Task.SEGMENTATION:
        keys = [make_key(name) for name in names.values() if name.lower() not in BACKGROUND]
        if not keys or "" in keys or len(set(keys)) < len(keys):
            raise BundleDrift("metadata.json: outputs#pred#channel_def names nothing, or two outputs alike")
    if task is Task.CLASSIFICATION and (not names or list(names) != list(range(len(names)))):
        raise BundleDrift(
            f"metadata.json: outputs#pred#channel_def names the classes {list(names)[:20]}; which is which is only "
            "certain where they are counted from 0 without a gap"
        )


def _find_task(pred: dict[str, Any]) -> Task:
    """`object` is a list of boxes; an output without a grid (a shape such as [1, 4]) is one of classes."""
    if pred.get("type") == "object":
        return Task.DETECTION
    shape = pred.get("spatial_shape") or []
    if pred.get("type") == "probabilities" or not shape or shape[0] == 1:
        return Task.CLASSIFICATION
    return Task.SEGMENTATION
