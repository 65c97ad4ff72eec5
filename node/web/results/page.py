"""The page of a result: what is on it, in plain values for the template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from node.dicom.overlay import Color
from node.dicom.wording import FOOTNOTE
from node.model.job import FINAL
from node.web.dicomweb.problem import Problem
from node.web.results.album import Album
from node.web.results.cabinet import Outcome
from node.web.results.heat import Heat
from node.web.results.masks import Segment
from node.web.results.picture import describe_sides, find_picture_size, find_scale, name_scale
from node.web.results.reading import Row
from node.web.results.tree import read_tree
from node.web.results.window import AUTO, NAMES, find_limits, list_windows
from pipelines.terms import Manifest, get_manifest

HERE = Path(__file__).parent
STATIC = HERE / "static"
OPACITY = 30
"""Percent."""
STEPS = (0, 15, 30, 45, 60, 80, 100)


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at. slice: from 1, 0 for the one that shows most likely something. opacity: percent. map: which
    of the result's, from 1; 0 for none."""

    slice: int = 0
    window: str = AUTO
    overlay: bool = True
    opacity: int = OPACITY
    map: int = 0

    def to_query(self, **changes: Any) -> str:
        """As the parameters of an address; what is usual is left out."""
        values = {
            "slice": self.slice,
            "window": self.window,
            "overlay": self.overlay,
            "opacity": self.opacity,
            "map": self.map,
        }
        values |= changes
        usual = {"slice": 0, "window": AUTO, "overlay": True, "opacity": OPACITY, "map": 0}
        words = {key: value for key, value in values.items() if value != usual[key]}
        return urlencode(words | ({"overlay": "off"} if "overlay" in words else {}))


def read_view(parameters: Mapping[str, str]) -> View:
    """Raises Problem 400 naming the parameter at fault."""
    view = View(
        slice=_read_number(parameters, "slice", 0, 1_000_000),
        window=parameters.get("window") or AUTO,
        overlay=parameters.get("overlay", "on") != "off",
        opacity=_read_number(parameters, "opacity", OPACITY, 100),
        map=_read_number(parameters, "map", 0, 10_000),
    )
    if parameters.get("overlay", "on") not in ("on", "off"):
        raise Problem(400, "overlay is on or off")
    return view


def _read_number(parameters: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = parameters.get(name) or str(usual)
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= most):
        raise Problem(400, f"{name} is a number from 0 to {most}")
    return int(text)


class Pages:
    """Renders the templates."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip

    def show(
        self,
        outcome: Outcome,
        album: Album,
        view: View,
        viewers: Sequence[tuple[str, str]] = (),
        heats: Sequence[Heat] = (),
    ) -> str:
        """The page as HTML. No name, id or date of a patient is on it, but what is burned into the images. viewers:
        what other viewers open, and the address."""
        job, reading = outcome.job, outcome.reading
        values: dict[str, Any] = {
            "job": job, "reading": reading, "album": album, "card": _find_card(outcome), "footnote": FOOTNOTE,
            "title": find_title(outcome), "rows": _list_rows(outcome, album, view), "mark": outcome.mark,
            "waiting": reading is None and job.state not in FINAL, "pictures": None, "told": _is_told(outcome),
            "viewers": viewers,
            "tree": list(read_tree(reading.dataset)) if reading else [],
        }  # fmt: skip
        if album.slices:
            values["pictures"] = _arrange_pictures(outcome, album, view) | {"maps": [one.label for one in heats]}
        return self._environment.get_template("result.html").render(values)

    def refuse(self, problem: Problem) -> str:
        """A page that says why there is none."""
        return self._environment.get_template("refused.html").render(detail=problem.detail)


def find_title(outcome: Outcome) -> str:
    """What the algorithm calls itself, else the pipeline of the job."""
    card = _find_card(outcome)
    return card.title if card else outcome.job.pipeline


def _find_card(outcome: Outcome) -> Manifest | None:
    """The manifest of the algorithm, when the one that is installed is the one that made the result."""
    try:
        manifest = get_manifest(outcome.job.pipeline)
    except (KeyError, ValueError):
        return None
    made = outcome.reading.version if outcome.reading else ""
    return manifest if made in ("", manifest.version) else None


def _is_told(outcome: Outcome) -> bool:
    """Whether the notes of the report say already what the algorithm is for and what not."""
    card, notes = _find_card(outcome), outcome.reading.notes if outcome.reading else ()
    return card is not None and any(card.not_for.rstrip(". ") in note for note in notes)


def _arrange_pictures(outcome: Outcome, album: Album, view: View) -> dict[str, Any]:
    """What the template says of the slices. Raises Problem 404 for one that there is not."""
    count = len(album.slices)
    k = (view.slice or find_opening(outcome, album) + 1) - 1
    find_limits(view.window, album, lambda: (0.0, 1.0))  # for its refusals
    if not 0 <= k < count:
        raise Problem(404, f"there are slices 1 to {count}")
    height, width = find_picture_size(album.slices[k].plane)
    segments = list(album.masks.segments.values()) if album.masks else []
    return {
        "k": k + 1, "count": count, "height": height, "width": width,
        "orientation": album.orientation, "segments": segments,
        "source": f"slice/{k + 1}.png?{_picture_query(outcome, view)}",
        "before": view.to_query(slice=k) if k else "", "after": view.to_query(slice=k + 2) if k + 1 < count else "",
        "first": view.to_query(slice=1), "last": view.to_query(slice=count),
        "unspoken": _list_unspoken(outcome, segments),
        "alt": _describe(album, k, segments),
        "captions": json.dumps([_describe(album, n, segments) for n in range(count)]),
        "windows": [(name, NAMES[name]) for name in list_windows(album.modality)], "view": view, "steps": STEPS,
        "missing": album.missing,
    }  # fmt: skip


def _list_unspoken(outcome: Outcome, segments: list[Segment]) -> list[tuple[Segment, str]]:
    """Segments with their colors of which no finding speaks: the table does not explain these."""
    spoken = {row.segment for row in outcome.reading.rows} if outcome.reading else set()
    return [(segment, say_color(segment.color)) for segment in segments if segment.number not in spoken]


def _picture_query(outcome: Outcome, view: View) -> str:
    query = view.to_query(slice=0)
    return f"{query}&v={outcome.mark}" if query else f"v={outcome.mark}"


def find_opening(outcome: Outcome, album: Album) -> int:
    """The slice (from 0) to open at: of the first finding, else the middle of what is segmented, else of all."""
    for row in outcome.reading.rows if outcome.reading else ():
        if not row.absent and (k := _find_slice(row, album)) is not None:
            return k
    touched = [k for k, met in enumerate(album.touched) if met] or list(range(len(album.slices)))
    return touched[len(touched) // 2]


def _find_slice(row: Row, album: Album) -> int | None:
    """Where a finding is seen: in its region, else in the middle of its segment."""
    places = list(row.places)
    if not places and album.masks is not None and row.segment is not None:
        own = album.masks.find_places(row.segment)
        places = own[len(own) // 2 :]
    return next((k for place in places if (k := album.find(*place)) is not None), None)


def _list_rows(outcome: Outcome, album: Album, view: View) -> list[dict[str, Any]]:
    segments = album.masks.segments if album.masks else {}
    rows = []
    for row in outcome.reading.rows if outcome.reading else ():
        segment = segments.get(row.segment) if row.segment is not None else None
        k = None if row.absent else _find_slice(row, album)
        rows.append(
            {
                "row": row,
                "label": segment.label if segment else "",
                "more": segment is None or not _is_within(row.name, segment.label),
                "color": say_color(segment.color) if segment else "",
                "slice": k + 1 if k is not None else None,
                "query": view.to_query(slice=k + 1) if k is not None else "",
            }
        )
    return rows


def _is_within(name: str, label: str) -> bool:
    """Whether a label says all that a name says, as "Right lung" of "Lung, Right"."""
    return set(name.lower().replace(",", "").split()) <= set(label.lower().split())


def say_color(color: Color) -> str:
    """ "#e6783c"."""
    return "#" + "".join(f"{part:02x}" for part in color)


def _describe(album: Album, k: int, segments: list[Segment]) -> str:
    """A slice in words, for who does not see it."""
    one = album.slices[k]
    words = [f"Slice {k + 1} of {len(album.slices)}"]
    words += [f"({one.caption})"] if one.caption else []
    text = f"{' '.join(words)}, {album.orientation}; {describe_sides(one.sides)}; "
    text += f"scale bar {name_scale(find_scale(one.plane))}"
    if not album.masks or not one.segmented:
        return f"{text}; nothing marked"
    numbers = album.masks.find_numbers(one.segmented)
    labels = [segment.label for segment in segments if segment.number in numbers]
    return f"{text}; marked: {', '.join(labels) or 'segments'}"
