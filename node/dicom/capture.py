"""A result as one picture, for displays that can show nothing but pictures (PS3.3 A.8.1).

Plain Secondary Capture Image Storage, one RGB frame a result: of all image classes the oldest and the one that every
PACS takes, shows and prints, which cannot be said of the multi-frame classes. It has no place in the patient: nothing
can be measured on it, and no model will read it again, for its modality is OT, not that of its source.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from node.dicom import codes
from node.dicom.authorship import Authorship
from node.dicom.codes import to_concept
from node.dicom.context import add_examined, new_object
from node.dicom.header import is_numbered_backward
from node.dicom.laterality import add_laterality
from node.dicom.lettering import Lettering, find_lettering
from node.dicom.mask import BOX_COLOR, read_parts
from node.dicom.overlay import Picture
from node.dicom.plane_reference import reference_planes
from node.dicom.privacy import add_privacy
from node.dicom.sheet import (
    LARGE,
    SMALL,
    WARNING,
    Line,
    Tile,
    choose_window,
    draw_sheet,
    find_number,
    find_widest,
    spread_planes,
)
from node.dicom.stack import Stack
from node.dicom.wording import (
    FOOTNOTE,
    format_value,
    list_axes,
    name_finding,
    name_measurement,
    name_plane,
    state_caution,
    state_notes,
)
from node.errors import EncodingError
from pipelines.terms import Finding, Result, Volume

MOST_TILES = 20
MOST_LINES = 40
"""Of the legend; what is left out is counted on it."""


def encode_capture(
    stack: Stack,
    volume: Volume,
    result: Result,
    author: Authorship,
    *,
    lettering: Lettering | None = None,
    series_number: int = 7006,
) -> Dataset:
    """A contact sheet of planes with the segments of `result` outlined, as a Secondary Capture.

    volume: what load_volume made of `stack`. The sheet says who made it, what was found with its numbers, the notes,
    and that it is not for diagnosis; no patient's name, id or date. lettering: the machine's own when None.
    Raises EncodingError when volume or masks are not on the stack's grid.
    """
    picture, planes = draw_result(stack, volume, result, author, lettering or find_lettering())
    said = f"Contact sheet of {len(planes)} planes with outlines. {state_caution(author)}"
    return make_capture(stack, author, picture, planes, said, "capture", author.manifest.title, series_number)


def make_capture(
    stack: Stack,
    author: Authorship,
    picture: Picture,
    planes: Sequence[int],
    said: str,
    part: str,
    title: str,
    series_number: int,
) -> Dataset:
    """`picture` of `planes` of `stack` as a Secondary Capture: the object `part` of `author`, derived as is `said`."""
    ds = start_capture(stack.first, author, picture, said, part, f"AI, not reviewed: {title}", series_number)
    add_sources(ds, reference_planes(stack, planes))
    return ds


def start_capture(
    source: Dataset, author: Authorship, picture: Picture, said: str, part: str, title: str, series_number: int
) -> Dataset:
    """`picture` as a Secondary Capture of the study of `source`, without its source images: the object `part` of
    `author` with `title` as the description of its series."""
    ds = new_object(source, author, SecondaryCaptureImageStorage, "OT", part, series_number, title)
    add_examined(ds, source, author.order)
    add_laterality(ds, source)
    ds.ConversionType, ds.ImageType, ds.PatientOrientation = "WSD", ["DERIVED", "SECONDARY"], ""
    ds.DerivationDescription = said[:1024]
    ds.ImageComments = f"{FOOTNOTE}: {author.manifest.not_for}"
    add_privacy(ds, source)
    _add_pixels(ds, picture)
    return ds


def add_sources(ds: Dataset, references: Sequence[Dataset]) -> None:
    """Source Image Sequence (PS3.3 C.7.6.1.1.4) of `references`, items that name an image."""
    ds.SourceImageSequence = list(references)
    for item in ds.SourceImageSequence:
        item.PurposeOfReferenceCodeSequence = [to_concept(codes.SOURCE_IMAGE)]


def draw_result(
    stack: Stack, volume: Volume, result: Result, author: Authorship, lettering: Lettering
) -> tuple[Picture, list[int]]:
    """The sheet as RGB (height, width, 3), and the planes of the stack that are on it."""
    if volume.shape != stack.shape:
        raise EncodingError(f"the volume has shape {volume.shape}, its stack {stack.shape}")
    touched, widest, drawn = np.zeros(stack.shape[0], dtype=bool), [], set()
    for part in read_parts(stack, result):
        drawn.add(part.key)
        touched |= part.mask.any(axis=(1, 2))
        widest += [find_widest(part.mask)] if part.mask.any() else []
    planes = order_planes(stack, spread_planes(touched, MOST_TILES, widest))
    masks = [(part.mask[planes], part.color, find_number(part.label)) for part in read_parts(stack, result)]
    tiles = []
    for n, k in enumerate(planes):
        met = [(mask[n], color, name) for mask, color, name in masks if mask[n].any()]
        parts, names = tuple((mask, color) for mask, color, _ in met), tuple(name for *_, name in met)
        tiles.append(Tile(k, name_plane(stack, k), parts, names))
    shown = volume.voxels[planes]
    window = choose_window(volume, [(shown, mask) for mask, *_ in masks])
    return draw_sheet(volume, tiles, window, head_lines(author), _beneath(result, author, drawn), lettering), planes


def order_planes(stack: Stack, planes: Sequence[int]) -> list[int]:
    """`planes` in the order in which their images are numbered."""
    first, last = (stack.headers[stack.frames[k][0]] for k in (0, -1))
    return sorted(planes, reverse=is_numbered_backward(first, last))


def head_lines(author: Authorship) -> list[Line]:
    """What stands above every sheet: what it is, that it is not for diagnosis, and who made it."""
    manifest = author.manifest
    return [
        Line(manifest.title, LARGE),
        Line(f"{FOOTNOTE}. {manifest.name} {manifest.version}, {manifest.manufacturer}", ink=WARNING),
    ]


def _beneath(result: Result, author: Authorship, drawn: Collection[str]) -> list[Line]:
    legend = list(_legend(result, drawn))
    if len(legend) > MOST_LINES:
        legend = [*legend[:MOST_LINES], Line(f"and {len(legend) - MOST_LINES} more")]
    notes = [Line(text, SMALL, WARNING) for text in state_notes(result)]
    return [*legend, *notes, Line(state_caution(author), SMALL), Line(FOOTNOTE, ink=WARNING)]


def _legend(result: Result, drawn: Collection[str]) -> Iterator[Line]:
    """A line for each finding, and for each segment that no finding speaks of. drawn: keys of what has an outline."""
    colors = {segment.key: segment.color for segment in result.segments}
    for finding in result.findings:
        boxed = BOX_COLOR if finding.segment_key is None and finding.key in drawn else None
        yield Line(_describe(finding, result), color=colors.get(finding.segment_key or "", boxed))
    spoken = {finding.segment_key for finding in result.findings}
    for segment in result.segments:
        if segment.key not in spoken:
            yield Line(segment.label, color=segment.color)


def _describe(finding: Finding, result: Result) -> str:
    name = name_finding(finding, result)
    if finding.absent:
        return f"{name}: looked for and not found"
    said = [" ".join(axis) for axis in list_axes(finding)]
    said += [f"{asked.meaning}: {answer.meaning}" for asked, answer in finding.qualifiers]
    said += [f"{name_measurement(m)} {format_value(m)}" for m in finding.measurements]
    return f"{name}: {', '.join(said)}" if said else name


def _add_pixels(ds: Dataset, picture: Picture) -> None:
    """Image Pixel (PS3.3 C.7.6.3): RGB by pixel, uncompressed, which every display reads."""
    ds.Rows, ds.Columns, ds.SamplesPerPixel = picture.shape
    ds.PhotometricInterpretation, ds.PlanarConfiguration, ds.PixelRepresentation = "RGB", 0, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    packed = picture.tobytes()
    ds.add(DataElement("PixelData", "OB", packed + b"\0" * (len(packed) % 2)))
