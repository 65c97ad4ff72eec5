"""From the files of one or more series to stacks: grids that a model may read, and refusals by name for the rest.

Grouping is coarse first: what cannot lie on one grid is apart from the start (series, frame of reference, matrix,
pixel spacing, orientation, localizer or not, and each multi-frame instance). Only where planes of one group lie at
the same positions, or interleave unevenly, is it divided by finer attributes such as Echo Time or Acquisition Number:
many scanners number every breath-hold or every plane of one good stack, so those numbers alone divide nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from node.dicom.geometry import MIN_PLANES, find_affine, find_depths, name_orientation, read_plane
from node.dicom.header import Frame, count_frames, find_frames, find_value, read_header
from node.dicom.separation import Image, Part, collides, find_places, separate
from node.dicom.stack import Stack
from node.errors import (
    DuplicateSlices,
    InputError,
    MixedSeries,
    NoFrameOfReference,
    NoMatchingSeries,
    TooFewSlices,
    UnevenGeometry,
    UnreadablePixels,
)
from pipelines.terms import Affine

NO_ACQUISITIONS = tuple(
    "1.2.840.10008.5.1.4.1.1." + tail
    for tail in ("7", "7.1", "7.2", "7.3", "7.4", "30", "66.1", "66.4", "66.7", "481.2")
)
"""Objects with pixels that no scanner acquired: Secondary Captures, Parametric Maps, registrations, Segmentations
(labelmaps too), RT Dose."""


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """Images of one series that make no stack.

    first: header of one of them.
    planes: how many frames, or instances where they are no images.
    error: what is wrong, by the name under which a job would fail.
    """

    first: Dataset
    planes: int
    error: InputError

    @property
    def series_uid(self) -> str:
        return str(self.first.SeriesInstanceUID)


def read_stacks(
    paths: Iterable[Path], *, max_tilt_degrees: float = 0.0, max_uneven_mm: float = 0.0
) -> tuple[list[Stack], list[Refusal]]:
    """The stacks in the files of one or more series, and what makes none.

    What is tilted or unevenly spaced beyond what find_affine is told to accept (nothing, unless a pipeline allows it)
    is refused as TiltedGantry or UnevenGeometry; a stack within it says so: Stack.tilt_degrees, Stack.is_regular.

    Files of the same SOP Instance UID count once. Every other plane is in exactly one stack or one refusal, and the
    stacks of a series tell in `others` what else it holds. Stacks and refusals come in the order in which their
    series came; stacks of one series by the attribute that divides them, ascending.
    Raises node.errors.CannotUnderstand when a file is no DICOM dataset.
    """
    series: dict[str, dict[str, tuple[Dataset, Path]]] = defaultdict(dict)
    for path in paths:
        header = read_header(path)
        series_uid, uid = (str(find_value(header, keyword)) for keyword in ("SeriesInstanceUID", "SOPInstanceUID"))
        series[series_uid].setdefault(uid, (header, path))
    stacks: list[Stack] = []
    refusals: list[Refusal] = []
    for instances in series.values():
        images, strange = _read_images(instances.values())
        parts = [part for group in _group(images) for part in separate(group, max_tilt_degrees)]
        found, refused = _judge(parts, strange, max_tilt_degrees, max_uneven_mm)
        stacks += found
        refusals += refused
    return stacks, refusals


def _read_images(instances: Iterable[tuple[Dataset, Path]]) -> tuple[list[Image], list[Refusal]]:
    """The images among the instances of one series; the others, those with the same fault together."""
    images: list[Image] = []
    faults: dict[tuple[type[InputError], str], list[Dataset]] = defaultdict(list)
    for header, path in instances:
        try:
            _refuse_no_image(header)
            images += [Image(frame, path, read_plane(frame)) for frame in find_frames(header)]
        except InputError as error:
            faults[type(error), str(error)].append(header)
    return images, [
        Refusal(headers[0], sum(map(count_frames, headers)), kind(text)) for (kind, text), headers in faults.items()
    ]


def _refuse_no_image(header: Dataset) -> None:
    said = find_value(header, "SOPClassUID")
    kind = said if isinstance(said, UID) else UID(str(said))
    if kind in NO_ACQUISITIONS or "Rows" not in header:
        raise NoMatchingSeries(f"{kind.name} is no acquired image")
    if not isinstance(find_value(header, "Modality"), str):
        raise NoMatchingSeries("Modality is absent, so no pipeline can tell whether it reads them")
    if count_frames(header) > 1 and not find_value(header, "PerFrameFunctionalGroupsSequence"):
        raise UnevenGeometry("a multi-frame image does not say where its frames lie")
    if find_value(header, "ConcatenationUID") and find_value(header, "InConcatenationTotalNumber") != 1:
        raise MixedSeries("a multi-frame image that was cut into a concatenation is not put together again")


def _group(images: Sequence[Image]) -> list[list[Image]]:
    """Images that may lie on one grid."""
    groups: dict[tuple[str, ...], list[list[Image]]] = defaultdict(list)
    for image in images:
        alike = groups[_coarse_key(image.frame)]
        home = next((group for group in alike if group[0].plane.fits(image.plane)), None)
        if home is None:
            alike.append([image])
        else:
            home.append(image)
    return [group for alike in groups.values() for group in alike]


def _coarse_key(frame: Frame) -> tuple[str, ...]:
    alone = str(frame.header.SOPInstanceUID) if count_frames(frame.header) > 1 else ""
    return (
        str(frame.get("FrameOfReferenceUID") or ""),
        str(frame.get("SamplesPerPixel") or 1),
        str(_is_localizer(frame)),
        alone,
    )


def _is_localizer(frame: Frame) -> bool:
    return "LOCALIZER" in list(frame.get("FrameType") or frame.get("ImageType") or ())


def _judge(
    parts: Sequence[Part], strange: Sequence[Refusal], max_tilt_degrees: float, max_uneven_mm: float
) -> tuple[list[Stack], list[Refusal]]:
    """The parts of one series as stacks or refusals."""
    good: list[tuple[Part, Affine]] = []
    refused = list(strange)
    crumbs: list[Part] = []
    for part in parts:
        try:
            good.append((part, _find_grid(part, max_tilt_degrees, max_uneven_mm)))
        except TooFewSlices:
            crumbs.append(part)
        except InputError as error:
            refused.append(_refuse(part, error))
    if crumbs:
        refused.append(_refuse_crumbs(crumbs, alone=not good and len(refused) == len(strange)))
    told = [f"{refusal.planes} more of the same series: {refusal.error}" for refusal in refused]
    stacks = [_to_stack(part, affine, (*_siblings(part, good), *told)) for part, affine in good]
    return stacks, [_with_series(refusal) for refusal in refused]


def _find_grid(part: Part, max_tilt_degrees: float, max_uneven_mm: float) -> Affine:
    """The grid of `part`; raises the InputError that names why there is none."""
    frame = part.images[0].frame
    if _is_localizer(frame):
        raise NoMatchingSeries("localizer images")
    if frame.get("SamplesPerPixel") not in (None, 1):
        raise UnreadablePixels("images in color, which are no measurement")
    if part.places < MIN_PLANES:
        raise TooFewSlices(f"fewer than {MIN_PLANES} positions")
    if collides(part.images):
        _raise_duplicates(part)
    if frame.get("FrameOfReferenceUID") is None:
        raise NoFrameOfReference("there is no Frame of Reference UID, so no result could be placed")
    return find_affine([image.plane for image in part.images], max_tilt_degrees, max_uneven_mm)


def _raise_duplicates(part: Part) -> None:
    places = [place for place in find_places(part.images) if len(place) > 1]
    depth = find_depths([part.images[0].plane, places[0][0].plane])[1]
    raise DuplicateSlices(
        f"{len(places[0])} different images lie at {depth:.2f} mm along the normal ({len(places)} such positions),"
        " and no attribute tells them apart"
    )


def _refuse(part: Part, error: InputError) -> Refusal:
    return Refusal(part.images[0].frame.header, len(part.images), error)


def _refuse_crumbs(crumbs: Sequence[Part], alone: bool) -> Refusal:
    """Parts of one or two planes as one refusal; a series that is nothing but such parts is mixed."""
    total = sum(len(part.images) for part in crumbs)
    if alone and len(crumbs) > 1:
        text = f"{total} images fall into {len(crumbs)} parts, none of which has {MIN_PLANES} planes of one grid"
        return Refusal(crumbs[0].images[0].frame.header, total, MixedSeries(text))
    places = sum(part.places for part in crumbs)
    text = f"{total} images at {places} positions make no volume: at least {MIN_PLANES} on one grid are needed"
    return Refusal(crumbs[0].images[0].frame.header, total, TooFewSlices(text))


def _with_series(refusal: Refusal) -> Refusal:
    text = f"series {refusal.series_uid}: {refusal.error}"
    return Refusal(refusal.first, refusal.planes, type(refusal.error)(text))


def _siblings(part: Part, good: Sequence[tuple[Part, Affine]]) -> list[str]:
    """One sentence for all other stacks that the same attributes divide off: a time series may have hundreds."""
    counts: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for other, _ in good:
        if other is not part:
            counts[other.by].append(len(other.images))
    return [
        f"{sum(planes)} more of the same series: {len(planes)} other stack{'s' if len(planes) > 1 else ''}"
        + (f", divided by {', '.join(by)}" if by else " on other grids")
        for by, planes in counts.items()
    ]


def _to_stack(part: Part, affine: Affine, others: tuple[str, ...]) -> Stack:
    sources: dict[int, tuple[int, Dataset, Path]] = {}
    for image in part.images:
        sources.setdefault(id(image.frame.header), (len(sources), image.frame.header, image.path))
    plane = part.images[0].plane
    positions = np.array([image.plane.position for image in part.images])
    return Stack(
        headers=tuple(header for _, header, _ in sources.values()),
        paths=tuple(path for _, _, path in sources.values()),
        frames=tuple((sources[id(image.frame.header)][0], image.frame.number) for image in part.images),
        shape=(len(part.images), *plane.shape),
        affine=affine,
        orientation=name_orientation(plane.normal),
        others=others,
        offsets=positions - positions[0] - np.arange(len(positions))[:, None] * affine[:3, 0],
    )
