"""Finds and keeps what belongs to a result: its job, its report, its Segmentation, its source images."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.config import Settings
from node.dicom.header import DAMAGE
from node.errors import InputError, UnknownJob
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.delivery import Kind, ResultObject
from node.model.job import Job, State
from node.web.dicomweb.problem import Problem
from node.web.results.album import Album, make_album
from node.web.results.heat import Heat, read_heat
from node.web.results.masks import Masks
from node.web.results.reading import Reading, read_report
from node.web.results.shelf import Shelf
from node.web.results.window import AUTO, Limits, choose_limits, find_limits

SHELF_BYTES = 256_000_000
BINARY = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to. reading: None without a report. segmentation: its file, None where nothing was segmented.
    mark: changes whenever any of it does. maps: files of Parametric Maps."""

    job: Job
    reading: Reading | None
    segmentation: Path | None
    mark: str
    maps: tuple[Path, ...] = ()


class Cabinet:
    """For the threads of one web process; shares a shelf of decoded slices and albums."""

    def __init__(self, settings: Settings, ledger: Ledger, spool: Spool, most: int = SHELF_BYTES) -> None:
        self._outbox, self._ledger, self._spool = settings.outbox, ledger, spool
        self.shelf = Shelf(most)

    def find_outcome(self, job_id: str) -> Outcome:
        """Raises Problem 404 when there is no such job, 500 when a report cannot be read."""
        try:
            job = self._ledger.get_job(job_id)
        except UnknownJob:
            raise Problem(404, "there is no such job") from None
        objects = [] if job.state == State.CANCELED else self._find_present(job_id)
        reading = self._choose_reading(job, objects)
        segmentations = [one for one in objects if one.kind == Kind.SEGMENTATION]
        if reading is not None and reading.did_not_run:
            segmentations = []
        # BINARY first: each of its frames says which segment it shows, so that a picture reads only what it needs.
        chosen = min(segmentations, key=lambda one: one.sop_class_uid != BINARY, default=None)
        path = self._outbox / chosen.path if chosen else None
        maps = [self._outbox / one.path for one in objects if one.kind == Kind.MAP]
        return Outcome(job, reading, path, _mark([self._outbox / one.path for one in objects]), tuple(maps))

    def find_heats(self, outcome: Outcome) -> list[Heat]:
        """The maps of a result. Raises Problem when one is damaged."""
        return [
            self.shelf.get(("map", str(path), outcome.mark), partial(_read_heat, path), Heat.weigh)
            for path in outcome.maps
        ]

    def find_album(self, outcome: Outcome) -> Album:
        """The source images of a result; empty where none is left. Raises Problem when the Segmentation is damaged."""
        # What is missing may come back: such an album lasts a minute.
        for since in (0.0, time.time() // 60):
            key = ("album", outcome.job.id, outcome.mark, since)
            album = self.shelf.get(key, lambda: self._make_album(outcome), Album.weigh)
            if not album.missing:
                break
        return album

    def read_values(self, album: Album, k: int) -> NDArray[np.float32]:
        """Slice `k` (from 0): (rows, columns). Raises Problem 410 when its file is gone, 406 when it is not decoded."""
        one = album.slices[k]
        try:
            return self.shelf.get((str(one.path), one.frame.number), one.read_values, lambda values: values.nbytes)
        except FileNotFoundError:
            raise Problem(410, "the image is no longer in the spool") from None
        except InputError as error:
            raise Problem(406, str(error)) from None

    def find_limits(self, outcome: Outcome, album: Album, window: str) -> Limits:
        """Values that are black and white in the window `window`. Raises Problem 400."""

        def choose() -> Limits:
            key = (AUTO, outcome.job.id, outcome.mark, len(album.slices))
            return self.shelf.get(
                key, lambda: choose_limits(album, lambda k: self.read_values(album, k)), lambda _: 100
            )

        return find_limits(window, album, choose)

    def _find_present(self, job_id: str) -> list[ResultObject]:
        return [one for one in self._ledger.find_objects(job_id) if (self._outbox / one.path).is_file()]

    def _choose_reading(self, job: Job, objects: Sequence[ResultObject]) -> Reading | None:
        """Of several reports that of the BINARY Segmentation; a refusal only where it is the last word."""
        readings = [self._read_report(self._outbox / one.path) for one in objects if one.kind == Kind.REPORT]
        if not readings or (readings[-1].did_not_run and job.state == State.FAILED):
            return readings[-1] if readings else None
        binary = {one.sop_instance_uid for one in objects if one.sop_class_uid == BINARY}
        return min(readings, key=lambda one: (one.did_not_run, binary.isdisjoint(one.segmentations)))

    def _read_report(self, path: Path) -> Reading:
        key = ("report", str(path), _mark([path]))
        return self.shelf.get(key, lambda: read_report(path), lambda _: 20 * path.stat().st_size)

    def _list_sources(self, job: Job) -> Mapping[str, Path]:
        return {one.sop_instance_uid: self._spool.root / one.path for one in self._ledger.find_instances(job.study_uid)}

    def _make_album(self, outcome: Outcome) -> Album:
        if outcome.reading is not None and outcome.reading.did_not_run:
            return Album((), None, 0)  # pictures without marks would look like nothing found
        try:
            masks = Masks(outcome.segmentation) if outcome.segmentation else None
            sources: Mapping[str, Sequence[int]] = outcome.reading.sources if outcome.reading else {}
            if not sources and masks is not None:
                sources = masks.list_sources()
            return make_album(sources, self._list_sources(outcome.job), masks)
        except Problem as problem:
            raise Problem(problem.status if problem.status == 410 else 500, problem.detail) from None
        except DAMAGE as error:
            raise Problem(500, f"the segmentation cannot be read ({type(error).__name__})") from None


def _read_heat(path: Path) -> Heat:
    try:
        return read_heat(path)
    except DAMAGE as error:
        raise Problem(500, f"map {path.stem} cannot be read ({type(error).__name__})") from None


def _mark(paths: Sequence[Path]) -> str:
    """Of the names and change times of files."""
    lines = [f"{path.name} {path.stat().st_mtime_ns}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
