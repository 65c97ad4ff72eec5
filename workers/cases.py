"""Cases with reference answers, as `wetread evaluate` finds them in a folder: docs/evaluation.md draws the layout."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.dicom.find_stack import find_stack
from node.dicom.header import read_header
from node.dicom.read_segmentation import Unfit, read_segmentation
from node.dicom.stack import Stack
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand
from node.outbound.send import find_files
from pipelines.evaluation.reference import Reference, Target
from pipelines.steps.nearest import lay_labels
from pipelines.steps.resample import Grid
from pipelines.terms import Affine, Manifest, Mask, Volume

REFERENCE, ANSWERS, CARD = "reference", "answers.json", "case.json"
ANSWER_KEYS, CARD_KEYS = {"points", "boxes", "labels", "scores"}, {"images", "modality", "patient", "part"}
NOTHING: Mask = np.zeros((0, 0, 0), bool)
MOST_LABELS = 255
"""Of one label map that are told apart; their values may be any."""
FOREIGN = (".nii", ".nii.gz", ".npz")


@dataclass(frozen=True, slots=True)
class Case:
    """A folder with images and their reference.

    images: files of a study, or one NIfTI or npz file. patient: what cases of one patient share; part: of the cases,
    for figures of each; "" when nothing is said.
    """

    name: str
    folder: Path
    images: tuple[Path, ...]
    modality: str
    patient: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """The images of a case in memory. stack: where they are DICOM."""

    volume: Volume
    stack: Stack | None


def find_cases(dataset: Path, modality: str) -> list[Case]:
    """The cases of `dataset`, by name. modality: of NIfTI images, which do not say it, and whose case does not.

    Raises CannotUnderstand where there is none, one without images or reference, or one whose JSON cannot be read: a
    slip in the last case is told before the first one is computed.
    """
    folders = sorted({path.parent for path in dataset.glob(f"**/{REFERENCE}") if path.is_dir()})
    if not folders:
        raise CannotUnderstand(f"{dataset} holds no case: no folder in it has a folder {REFERENCE!r}")
    return [_make_case(dataset, folder, modality) for folder in folders]


def _make_case(dataset: Path, folder: Path, modality: str) -> Case:
    card = _read_json(folder / CARD, CARD_KEYS) if (folder / CARD).is_file() else {}
    _read_answers(folder)
    places = card.get("images", ".")
    paths: list[Path] = []
    for place in [places] if isinstance(places, str) else places:
        found = folder / place
        held = [found] if found.is_file() else sorted(path for path in found.rglob("*") if path.is_file())
        paths += [path for path in held if REFERENCE not in path.relative_to(found).parts and path.name != CARD]
    if not paths:
        raise CannotUnderstand(f"{folder} holds no images")
    if not any(path.is_file() for path in (folder / REFERENCE).iterdir()):
        raise CannotUnderstand(f"{folder / REFERENCE} is empty: nothing is said to be true of this case")
    return Case(
        str(folder.relative_to(dataset)),
        folder,
        tuple(paths),
        str(card.get("modality", modality)),
        str(card.get("patient", "")),
        str(card.get("part", "")),
    )


def load_images(case: Case, manifest: Manifest) -> Loaded:
    """The images of `case` that the pipeline of `manifest` reads. Raises InputError, CannotUnderstand."""
    foreign = [path for path in case.images if path.name.endswith(FOREIGN)]
    if foreign:
        voxels, affine = _read_array(foreign[0])
        return Loaded(Volume(voxels.astype(np.float32), affine, "2.25.1", case.modality), None)
    dicom = [path for place in case.images for path in find_files(place)[0]]
    stack, _ = find_stack(dicom, manifest)
    return Loaded(load_volume(stack), stack)


def load_reference(case: Case, loaded: Loaded | None) -> Reference:
    """What is true of `case`; of its masks the names alone, without a voxel, where its images could not be loaded.
    Raises CannotUnderstand that names the file at fault."""
    masks: dict[str, Mask] = {}
    for path in sorted((case.folder / REFERENCE).iterdir()):
        masks |= _read_masks(path, loaded) if loaded is not None else dict.fromkeys(_list_names(path), NOTHING)
    return replace(_read_answers(case.folder), masks=masks)


def _read_answers(folder: Path) -> Reference:
    """What the answers of the case in `folder` say, nothing where it has none."""
    answers = folder / REFERENCE / ANSWERS
    said = _read_json(answers, ANSWER_KEYS) if answers.is_file() else {}
    try:
        targets = tuple(_make_targets(said)) if {"points", "boxes"} & said.keys() else None
        return Reference({}, targets, dict(said.get("labels", {})), dict(said.get("scores", {})))
    except (KeyError, TypeError, ValueError) as error:
        raise CannotUnderstand(f"{answers}: {type(error).__name__} {error}") from error


def _make_targets(said: Mapping[str, Any]) -> Iterator[Target]:
    for point in said.get("points", ()):
        x, y, z = (float(value) for value in point["center_mm"])
        reach = float(point["radius_mm"])
        yield Target((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach), round=True)
    for box in said.get("boxes", ()):
        low, high = ((float(x), float(y), float(z)) for x, y, z in (box["low_mm"], box["high_mm"]))
        yield Target(low, high)


def _read_masks(path: Path, loaded: Loaded) -> dict[str, Mask]:
    if path.name.endswith(FOREIGN):
        return _read_label_map(path, loaded.volume)
    if path.suffix == ".dcm":
        if loaded.stack is None:
            raise CannotUnderstand(f"{path}: a DICOM Segmentation needs DICOM images")
        try:
            segments = read_segmentation(path, loaded.stack)
            return {segment.label: segment.mask for segment in segments.values()}
        except Unfit as error:
            raise CannotUnderstand(f"{path}: {error}") from error
    return {}


def _list_names(path: Path) -> list[str]:
    """What the masks in the file at `path` are called."""
    if path.name.endswith(FOREIGN):
        stem = path.name.split(".")[0]
        names = _read_names(path.with_name(f"{stem}.json"))
        return list(names.values()) if names is not None else [stem]
    if path.suffix == ".dcm":
        return [str(item.get("SegmentLabel", "")) for item in read_header(path).get("SegmentSequence") or ()]
    return []


def _read_label_map(path: Path, volume: Volume) -> dict[str, Mask]:
    """By the names that the JSON file beside it gives to its values; one mask of all where there is none."""
    values, affine = _read_array(path)
    if values.ndim != 3:
        raise CannotUnderstand(f"{path}: labels have three axes (k, j, i), these have {values.ndim}")
    stem = path.name.split(".")[0]
    names = _read_names(path.with_name(f"{stem}.json"))
    labels = _number(values, list(names)) if names is not None else (values > 0).astype(np.uint8)
    if labels.shape != volume.shape or not np.allclose(affine, volume.affine, atol=1e-3):
        labels = lay_labels(labels, affine, Grid(volume.shape, volume.affine))
    if names is None:
        return {stem: labels > 0}
    masks: dict[str, Mask] = {}
    for number, name in enumerate(names.values(), 1):
        masks[name] = masks.get(name, False) | (labels == number)
    return masks


def _read_names(path: Path) -> dict[int, str] | None:
    """Value of a label map -> name, by the JSON at `path`; None where there is none."""
    if not path.is_file():
        return None
    try:
        names = {int(value): str(name) for value, name in _read_json(path).items()}
    except ValueError as error:
        raise CannotUnderstand(f"{path}: its keys are the values of the label map: {error}") from error
    if not 0 < len(names) <= MOST_LABELS:
        raise CannotUnderstand(f"{path} names {len(names)} labels, at least 1 and at most {MOST_LABELS} are compared")
    return names


def _number(values: NDArray[Any], wanted: list[int]) -> NDArray[np.uint8]:
    """Each of `wanted` as its place in the list, from 1: an atlas has values far beyond a byte. 0 for all others."""
    numbers = np.zeros(values.shape, np.uint8)
    for number, value in enumerate(wanted, 1):
        numbers[values == value] = number
    return numbers


def _read_array(path: Path) -> tuple[NDArray[Any], Affine]:
    """(array (k, j, i), affine to LPS mm). NIfTI counts (i, j, k) and points to RAS."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as data:
                name = next(key for key in ("labels", "voxels") if key in data)
                return data[name], np.asarray(data["affine"], dtype=np.float64)
        except (KeyError, StopIteration, ValueError) as error:
            raise CannotUnderstand(f"{path}: it holds no 'voxels' or 'labels' with an 'affine'") from error
    try:
        import nibabel
    except ImportError as error:
        raise CannotUnderstand(f"{path}: reading NIfTI needs nibabel: pip install nibabel") from error
    image = nibabel.load(path)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    return np.ascontiguousarray(np.asarray(image.dataobj).squeeze().T), affine[:, [2, 1, 0, 3]]


def _read_json(path: Path, keys: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object at `path`, which has no key but `keys`, where these are given. Raises CannotUnderstand."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CannotUnderstand(f"{path}: {error}") from error
    if not isinstance(said, dict):
        raise CannotUnderstand(f"{path}: it is no JSON object")
    if keys and (unknown := sorted(said.keys() - keys)):
        raise CannotUnderstand(f"{path}: {unknown[0]!r} is none of its keys {', '.join(sorted(keys))}")
    return said
