"""The contact sheet of a result, made from what is kept: images of the spool, Segmentation and report of the outbox."""

import io
from collections.abc import Iterator

from PIL import Image

from node.dicom.lettering import Lettering, find_lettering
from node.dicom.sheet import LARGE, SMALL, WARNING, Line, Tile, draw_sheet, find_number, spread_planes
from node.dicom.wording import FOOTNOTE
from node.web.results.album import Album
from node.web.results.reading import Reading, Row
from node.web.results.window import Limits, Values, gather

MOST_TILES = 20
MOST_LINES = 40


def draw_montage(album: Album, reading: Reading | None, title: str, limits: Limits, read: Values) -> bytes:
    """PNG of up to 20 slices on which something is segmented, those that findings name before all, with what was
    found."""
    rows = reading.rows if reading else ()
    named = (next((k for place in row.places if (k := album.find(*place)) is not None), None) for row in rows)
    planes = spread_planes(album.touched, MOST_TILES, [k for k in named if k is not None])
    volume = gather(album, planes, read)
    tiles = []
    for n, k in enumerate(planes):
        one = album.slices[k]
        parts = album.masks.read(one.segmented) if album.masks else []
        names = tuple(find_number(segment.label) for segment, _ in parts)
        tiles.append(Tile(n, one.caption, tuple((mask, segment.color) for segment, mask in parts), names))
    lettering: Lettering = find_lettering()
    sheet = draw_sheet(volume, tiles, limits, _above(reading, title), list(_beneath(album, reading)), lettering)
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "PNG", compress_level=3)
    return out.getvalue()


def _above(reading: Reading | None, title: str) -> list[Line]:
    whose = f". {reading.algorithm} {reading.version}" if reading else ""
    return [Line(title, LARGE), Line(f"{FOOTNOTE}{whose}", ink=WARNING)]


def _beneath(album: Album, reading: Reading | None) -> Iterator[Line]:
    rows = reading.rows if reading else ()
    segments = album.masks.segments if album.masks else {}
    for row in rows[:MOST_LINES]:
        segment = segments.get(row.segment) if row.segment is not None else None
        name = f"{segment.label}: {_describe(row)}" if segment else f"{row.name}: {_describe(row)}"
        yield Line(name.rstrip(": "), color=segment.color if segment else None)
    if len(rows) > MOST_LINES:
        yield Line(f"and {len(rows) - MOST_LINES} more")
    for note in reading.notes if reading else ():
        yield Line(note, SMALL)
    yield Line(FOOTNOTE, ink=WARNING)


def _describe(row: Row) -> str:
    said = ["looked for and not found"] if row.absent else []
    return ", ".join([*said, *(f"{name}: {value}" for name, value in row.answers), *(" ".join(n) for n in row.numbers)])
