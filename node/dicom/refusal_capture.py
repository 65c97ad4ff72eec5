"""That the algorithm did not run, as a picture: for displays that show nothing else, where silence would look like
"nothing found"."""

from collections.abc import Sequence

from pydicom import Dataset

from node.dicom.authorship import Authorship
from node.dicom.capture import add_sources, start_capture
from node.dicom.header import find_value
from node.dicom.lettering import Lettering, find_lettering
from node.dicom.sheet import LARGE, WARNING, Line, draw_words

HEADLINE = "THE AI DID NOT RUN"
MEANING = "This is no result: nothing was looked for in these images. It says neither findings nor their absence."


def encode_refusal_capture(
    headers: Sequence[Dataset],
    author: Authorship,
    name: str,
    sentence: str,
    *,
    lettering: Lettering | None = None,
    series_number: int = 7010,
) -> Dataset:
    """A Secondary Capture (PS3.3 A.8.1) that says in large letters that the algorithm did not run on the images
    `headers`: error `name`, and why in a `sentence`. It shows no image and no patient's name, id or date."""
    manifest = author.manifest
    lines = [
        Line(manifest.title, LARGE),
        Line(f"{manifest.name} {manifest.version}, {manifest.manufacturer}"),
        Line(HEADLINE, 2 * LARGE, WARNING),
        Line(MEANING, LARGE),
        Line(f"Why: {name}. {sentence}"),
        Line(f"Images: {_count(headers)}"),
    ]
    title = f"AI DID NOT RUN: {manifest.title}"
    picture = draw_words(lines, lettering or find_lettering())
    said = f"{HEADLINE}. {MEANING} {name}: {sentence}"
    ds = start_capture(headers[0], author, picture, said, "refusal capture", title, series_number)
    ds.ImageComments = f"{HEADLINE}. {MEANING} Not for: {manifest.not_for}"
    add_sources(ds, [_refer(header) for header in headers])
    return ds


def _refer(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def _count(headers: Sequence[Dataset]) -> str:
    """ "64 of series 3"; of several series each."""
    numbers = [find_value(header, "SeriesNumber") for header in headers]
    return ", ".join(
        f"{numbers.count(number)} of series {number if number is not None else 'without a number'}"
        for number in dict.fromkeys(numbers)
    )
