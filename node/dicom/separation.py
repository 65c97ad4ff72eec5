"""Dividing images that lie at the same positions: two echoes, two phases, magnitude and phase, two kernels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.datadict import tag_for_keyword

from node.dicom.geometry import MIN_PLANES, SAME_PLACE, Plane, find_affine, find_depths
from node.dicom.header import Frame
from node.errors import InputError

DIVIDERS: tuple[tuple[str, ...], ...] = (
    ("FrameType", "ImageType"),
    ("ComplexImageComponent",),
    ("EffectiveEchoTime", "EchoTime"),
    ("EchoNumbers",),
    ("DiffusionBValue",),
    ("DiffusionGradientOrientation",),
    ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("TemporalPositionTimeOffset",),
    ("NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("InversionTime", "InversionTimes"),
    ("FlipAngle",),
    ("KVP",),
    ("ConvolutionKernel",),
    ("FrameAcquisitionNumber", "AcquisitionNumber"),
    ("SequenceName",),
    ("SliceThickness",),
    ("StackID",),
    ("DimensionIndexValues",),
)
"""Attributes that may tell planes at one position apart, tried in this order, one alone before two or three
together; synonyms of enhanced and single-frame images stand together."""
MOST_TOGETHER = 3
SPATIAL = {
    tag_for_keyword(keyword)
    for keyword in ("ImagePositionPatient", "InStackPositionNumber", "PlanePositionVolume", "PlanePositionSlide")
}
"""Dimensions that run along the stack and therefore divide nothing."""

Key = tuple[float, str]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One frame of one file, and where it lies."""

    frame: Frame
    path: Path
    plane: Plane


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Images in order along their normal that may be one stack; `by` names what divides it from its siblings."""

    images: tuple[Image, ...]
    by: tuple[str, ...] = ()

    @property
    def places(self) -> int:
        """How many distinct positions along the normal there are."""
        return len(find_places(self.images))


def separate(images: Sequence[Image], max_tilt_degrees: float = 0.0) -> list[Part]:
    """`images`, all of one matrix and orientation, as parts whose planes do not collide.

    One part when nothing collides and nothing interleaves unevenly, or when no attribute tells the planes apart:
    then the one part still collides and is the caller's to refuse. Planes that a gantry tilted by no more than
    max_tilt_degrees are even too; uneven ones never divide what does not collide, for anything fits them.
    """
    ordered = _order(images)
    collided = collides(ordered)
    if not collided and (len(ordered) < 2 * MIN_PLANES or _is_even(ordered, max_tilt_degrees)):
        return [Part(ordered)]
    for names, keys in _divisions(ordered):
        parts = _divide(ordered, keys, names)
        even = collided or (_interleaves(keys) and all(_is_even(part.images, max_tilt_degrees) for part in parts))
        if even and _is_resolved(parts):
            return parts
    return (_passes(ordered) if collided else []) or [Part(ordered)]


def collides(ordered: Sequence[Image]) -> bool:
    """True when two of the images, in order along their normal, lie at one position."""
    return len(find_places(ordered)) < len(ordered)


def find_places(ordered: Sequence[Image]) -> list[list[Image]]:
    """The images at each distinct position, in order along their normal."""
    depths = find_depths([image.plane for image in ordered])
    places: list[list[Image]] = []
    for n, image in enumerate(ordered):
        if n and depths[n] - depths[n - 1] < SAME_PLACE:
            places[-1].append(image)
        else:
            places.append([image])
    return places


def _order(images: Sequence[Image]) -> tuple[Image, ...]:
    depths = find_depths([image.plane for image in images])
    return tuple(images[n] for n in np.argsort(depths, kind="stable"))


def _is_even(ordered: Sequence[Image], max_tilt_degrees: float) -> bool:
    try:
        find_affine([image.plane for image in ordered], max_tilt_degrees)
    except InputError:
        return False
    return True


def _divisions(images: Sequence[Image]) -> Iterator[tuple[tuple[str, ...], list[tuple[Key, ...]]]]:
    """Names of attributes and each image's values of them, for all combinations worth trying."""
    found: dict[str, list[Key]] = {}
    for names in DIVIDERS:
        keys = [_key(image.frame, names) for image in images]
        if 1 < len(set(keys)) <= len(images) // 2:
            found[names[-1]] = keys
    for count in range(1, MOST_TOGETHER + 1):
        for chosen in combinations(found, count):
            yield chosen, list(zip(*(found[name] for name in chosen), strict=True))


def _divide(images: Sequence[Image], keys: Sequence[tuple[Key, ...]], by: tuple[str, ...]) -> list[Part]:
    groups: dict[tuple[Key, ...], list[Image]] = defaultdict(list)
    for image, key in zip(images, keys, strict=True):
        groups[key].append(image)
    return [Part(tuple(groups[key]), by) for key in sorted(groups)]


def _is_resolved(parts: Sequence[Part]) -> bool:
    """No part collides, and most images are in parts that may be stacks: a key that differs from plane to plane
    would take every collision away and leave crumbs."""
    large = sum(len(part.images) for part in parts if len(part.images) >= MIN_PLANES)
    return 2 * large > sum(len(part.images) for part in parts) and not any(collides(part.images) for part in parts)


def _interleaves(keys: Sequence[tuple[Key, ...]]) -> bool:
    """True when the groups overlap along the normal. Blocks end to end are left together: between them a plane may
    be missing, and that must be told."""
    return sum(a != b for a, b in pairwise(keys)) > len(set(keys)) - 1


def _passes(ordered: Sequence[Image]) -> list[Part]:
    """Parts that were acquired one wholly after the other, each over all positions; none when time does not say."""
    places = [sorted(place, key=_time) for place in find_places(ordered)]
    if len({len(place) for place in places}) != 1 or len(places) < MIN_PLANES:
        return []
    passes = list(zip(*places, strict=True))
    spans = [(min(map(_time, images)), max(map(_time, images))) for images in passes]
    if spans[0][0] and all(earlier[1] < later[0] for earlier, later in pairwise(spans)):
        return [Part(tuple(images), ("AcquisitionTime",)) for images in passes]
    return []


def _time(image: Image) -> str:
    """When the image was acquired, YYYYMMDDHHMMSS.FFFFFF; "" when that is not said."""
    moment = image.frame.get("FrameAcquisitionDateTime") or image.frame.get("AcquisitionDateTime")
    return str(moment or f"{image.frame.get('AcquisitionDate') or ''}{image.frame.get('AcquisitionTime') or ''}")


def _key(frame: Frame, names: Sequence[str]) -> Key:
    """The first value there is under `names`, comparable whether number or text; absent comes first."""
    value = next((value for name in names if (value := frame.get(name)) is not None), None)
    if value is not None and names == ("DimensionIndexValues",):
        value = _without_spatial(frame, value)
    if value is None:
        return (-inf, "")
    try:
        return (float(f"{float(value):.6g}"), "")
    except (TypeError, ValueError):
        return (0.0, str(value))


def _without_spatial(frame: Frame, values: Any) -> list[int]:
    dimensions = frame.get("DimensionIndexSequence") or ()
    pointers = [dimension.get("DimensionIndexPointer") for dimension in dimensions]
    indices = list(values) if isinstance(values, Sequence) or hasattr(values, "__iter__") else [values]
    return [index for n, index in enumerate(indices) if n >= len(pointers) or pointers[n] not in SPATIAL]
