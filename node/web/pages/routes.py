"""`/routes`: the routes as configured, and what they would do with some files. Nothing of these is stored.

POST /routes/try takes multipart/related of application/dicom, as STOW-RS does: a form's own multipart could not show
its session's secret without a parser for it, and programs that store can ask this in the same words.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore
from typing import BinaryIO

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.config import Settings
from node.dicom.multipart import Malformed, MultipartReader, PartBegin, PartData, parse_media_type
from node.errors import CannotUnderstand
from node.inbound.trial import Verdict, try_routes
from node.sections import When
from node.web.access.who import note
from node.web.body import gather
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame
from node.web.refusal import Refusal, answer_refusal

MOST_FILES = 200
MOST_BYTES = 200_000_000
PREFIX = "trial-"
AT_ONCE = 4
"""Bodies that are taken at one moment: each may hold MOST_BYTES of the disk."""


class RoutePages:
    """The page, and the trial. Bodies are taken side by side, AT_ONCE at the utmost; one trial runs at a time."""

    def __init__(self, settings: Settings, frame: Frame) -> None:
        self._settings = settings
        self._frame = frame
        self._seats = BoundedSemaphore(AT_ONCE)
        self._turn = CapacityLimiter(1)
        for left in settings.node.home.glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)  # of a process that was killed

    def show(self, request: Request) -> Response:
        """GET /routes"""
        rows = [(route, _tell_conditions(route.when), _tell_conditions(route.study)) for route in self._settings.routes]
        return self._frame.render(
            request, "routes.html", rows=rows, most_files=MOST_FILES, most_mb=MOST_BYTES // 1_000_000
        )

    async def act(self, request: Request) -> Response:
        """POST /routes/try: a piece of HTML with the verdicts."""
        if not self._seats.acquire(blocking=False):
            return answer_refusal(request, Refusal(503, "others try routes; again in a moment", close=True))
        try:
            with TemporaryDirectory(prefix=PREFIX, dir=self._settings.node.home) as name:
                number = await _receive(request, Path(name), self._settings.listen.idle_timeout.total_seconds())
                verdicts = await run_sync(self._try, Path(name), limiter=self._turn)
        except Problem as problem:
            return answer_refusal(request, problem)
        finally:
            self._seats.release()
        note(request, files=number)
        return await run_sync(lambda: self._frame.render(request, "verdicts.html", verdicts=verdicts, number=number))

    def _try(self, folder: Path) -> list[Verdict]:
        try:
            return list(try_routes(self._settings, folder))
        except CannotUnderstand:
            raise Problem(400, "none of these files is a DICOM image") from None


async def _receive(request: Request, folder: Path, patience: float) -> int:
    """Writes the parts of the body, each a file with a number for its name; how many. Raises Problem, 408 after
    `patience` seconds of silence."""
    kind = parse_media_type(request.headers.get("content-type", ""))
    if kind.name != "multipart/related":
        raise Problem(415, "files come as multipart/related")
    try:
        parts = _Parts(folder, kind.parameters.get("boundary", ""))
    except Malformed as error:
        raise Problem(400, str(error)) from None
    try:
        async for pieces in gather(request, patience):
            await run_sync(parts.feed, pieces)
        return parts.finish()
    except Malformed as error:
        raise Refusal(400, str(error), close=True) from None
    except TimeoutError:
        raise Refusal(408, "the body did not go on", close=True) from None
    except ClientDisconnect:
        raise Refusal(400, "the sender broke off", close=True) from None
    finally:
        parts.close()


class _Parts:
    """Files in `folder` from the pieces of a body. Raises Malformed when there is no boundary."""

    def __init__(self, folder: Path, boundary: str) -> None:
        self._reader = MultipartReader(boundary)
        self._folder = folder
        self._number = self._size = 0
        self._file: BinaryIO | None = None

    def feed(self, piece: bytes) -> None:
        """The next bytes, to the disk. Raises Malformed, or Refusal 413."""
        self._size += len(piece)
        if self._size > MOST_BYTES:
            raise Refusal(413, f"that is more than {MOST_BYTES // 1_000_000} MB; try a few files", close=True)
        for event in self._reader.feed(piece):
            if isinstance(event, PartBegin):
                self._begin()
            elif isinstance(event, PartData) and self._file is not None:
                self._file.write(event.data)
            else:
                self.close()

    def finish(self) -> int:
        """How many there were. Raises Malformed when the body is not whole."""
        self._reader.close()
        return self._number

    def close(self) -> None:
        """The file that is open. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._number += 1
        if self._number > MOST_FILES:
            raise Refusal(413, f"that is more than {MOST_FILES} files; try a few", close=True)
        self._file = (self._folder / f"{self._number:06d}").open("wb")


def _tell_conditions(when: When) -> list[tuple[str, str]]:
    """(keyword, what is asked of it) of each condition, in words."""
    return [(keyword, _tell(condition.model_dump(exclude_defaults=True))) for keyword, condition in when.items()]


def _tell(asked: dict[str, object]) -> str:
    words = {"any": "is one of", "none": "is none of", "min": "at least", "max": "at most", "like": "is like"}
    told = []
    for key, value in asked.items():
        if key == "absent":
            told.append("is absent" if value else "is there")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            told.append(f"{words[key]} {shown}")
    return "; ".join(told)
