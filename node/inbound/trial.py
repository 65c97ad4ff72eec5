"""What the routes would do with the images in a folder: for an administrator's eyes, so values are shown.

Orders that are kept take part as in a real run: what an order says of a study is read as if its images said it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import Dataset

from node.config import Settings
from node.dicom.deflate import DEFLATED, check_inflation
from node.dicom.header import read_header
from node.dicom.identity import read_syntax
from node.dicom.selection import choose_stack
from node.dicom.stacking import read_stacks
from node.errors import CannotUnderstand, InputError
from node.inbound.conditions import find_mismatch
from node.inbound.match import find_study_mismatch
from node.inbound.ordered import Ordered, add_orders
from node.inbound.schedule import find_opening
from node.model.job import Late, Priority
from node.orders.book import OrderBook
from node.route_order import find_needed
from node.sections import Route
from pipelines.terms import get_manifest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one route says of one study. series: Series Instance UID -> the condition that it does not meet, None when
    it meets all. answer: what its pipeline would read, or the name of its refusal; "" when it makes no job. needs: what
    else the route asks: of the study as a whole where that is not met, and for what the job would wait; and what became
    of the study's order, where one is kept."""

    route: str
    pipeline: str
    study_uid: str
    series: dict[str, str | None]
    answer: str
    needs: tuple[str, ...] = ()

    @property
    def makes_job(self) -> bool:
        return bool(self.answer)


Series = dict[str, tuple[Dataset, list[Path]]]
"""Series Instance UID -> the header that speaks for it, and its files."""


def try_routes(settings: Settings, folder: Path) -> Iterator[Verdict]:
    """A verdict for each route on each study in `folder` and below. Sources are not asked: a folder has no sender.
    A deflated file that the door would refuse is passed over. Raises CannotUnderstand when there is no DICOM file."""
    studies = _read_folder(folder, settings.listen.inflate_ratio)
    if not studies:
        raise CannotUnderstand(f"{folder}: no DICOM image")
    for study_uid, series in studies.items():
        ordered = _add_orders(series, settings.order_book)
        for route in settings.routes:
            yield _try_route(route, study_uid, series, settings.routes, ordered)


def _add_orders(series: Series, book: Path) -> Ordered:
    """As `node.inbound.enqueue` does; a node that was never told an order has no book, and gets none here."""
    return (
        add_orders({uid: sample for uid, (sample, _) in series.items()}, OrderBook(book))
        if book.is_file()
        else Ordered()
    )


def _try_route(route: Route, study_uid: str, series: Series, routes: list[Route], ordered: Ordered) -> Verdict:
    faults = {uid: find_mismatch(route.when, sample, quote=True) for uid, (sample, _) in series.items()}
    paths = [path for uid, fault in faults.items() if fault is None for path in series[uid][1]]
    miss = find_study_mismatch(route, [sample for sample, _ in series.values()], quote=True)
    answer = _try_pipeline(route.pipeline, paths) if paths and not miss else ""
    needs = (*([miss] if miss else []), *_tell_order(route, faults, ordered), *_find_needs(route, routes))
    return Verdict(route.name, route.pipeline, study_uid, faults, answer, needs)


def _tell_order(route: Route, faults: dict[str, str | None], ordered: Ordered) -> list[str]:
    """What became of the order: why it was refused, else which priority the job would have by it (see `with_order`)."""
    order = ordered.find([uid for uid, fault in faults.items() if fault is None]) or ordered.find(list(faults))
    if order is None:
        return [f"order: {note}" for note in ordered.notes]
    if route.priority is not None or order.priority is None:
        return [f"order: one is kept; priority {route.priority or Priority.ROUTINE}, not by the order"]
    return [f"order: one is kept; priority {order.priority}, by the order"]


def _find_needs(route: Route, routes: list[Route]) -> list[str]:
    """What the job would wait for, and what late images would do."""
    needs = []
    if needed := find_needed(route, routes):
        needs.append(f"after: it waits for the result of {' or '.join(repr(one.name) for one in needed)}")
    if route.schedule is not None:
        hours = f"{route.schedule.opens:%H:%M} to {route.schedule.closes:%H:%M}, {' '.join(route.schedule.days)}"
        opening = find_opening(route.schedule, time.time())
        now = "open now" if not opening else f"opens {datetime.fromtimestamp(opening):%a %H:%M}"
        needs.append(f"schedule: {hours}; {now}")
    if route.late != Late.REPLACE:
        needs.append(f"late: {route.late}")
    return needs


def _try_pipeline(name: str, paths: list[Path]) -> str:
    manifest = get_manifest(name)
    try:
        _, notes = choose_stack(*read_stacks(paths), manifest.requires, manifest.manufacturer)
    except InputError as error:
        return f"it would not run, {type(error).__name__}: {error}"
    return notes[0]


def _read_folder(folder: Path, ratio: int) -> dict[str, Series]:
    studies: dict[str, Series] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = _read_header(path, ratio)
        except CannotUnderstand:
            continue
        study = studies.setdefault(str(header.StudyInstanceUID), {})
        study.setdefault(str(header.SeriesInstanceUID), (header, []))[1].append(path)
    return studies


def _read_header(path: Path, ratio: int) -> Dataset:
    """Raises CannotUnderstand, before anything is inflated that becomes more than the door would let in."""
    if _has_meta(path):
        syntax, offset = read_syntax(path)
        if syntax in DEFLATED:
            check_inflation(path, offset, ratio)
    return read_header(path)


def _has_meta(path: Path) -> bool:
    """Whether anything stands before the dataset that could call it deflated (PS3.10 7.1)."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or head.startswith(b"\2\0")
