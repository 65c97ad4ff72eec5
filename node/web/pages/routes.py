"""`/routes`: the routes as configured, and what they would do with some files. Nothing of these is stored.

POST /routes/try takes multipart/related of application/dicom, as STOW-RS does: a form's own multipart could not show
its session's secret without a parser for it, and programs that store can ask this in the same words.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from node.config import Settings
from node.dicom.multipart import Malformed, MultipartReader, PartBegin, PartData, parse_media_type
from node.errors import CannotUnderstand
from node.inbound.trial import Verdict, try_routes
from node.sections import When
from node.web.access.who import note
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame
from node.web.refusal import answer_refusal

MOST_FILES = 200
MOST_BYTES = 200_000_000
PREFIX = "trial-"


class RoutePages:
    """The page, and the trial. One trial runs at a time."""

    def __init__(self, settings: Settings, frame: Frame) -> None:
        self._settings = settings
        self._frame = frame
        self._lock = Lock()
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
        if not self._lock.acquire(blocking=False):
            return answer_refusal(request, Problem(503, "somebody else tries routes; again in a moment"))
        try:
            with TemporaryDirectory(prefix=PREFIX, dir=self._settings.node.home) as name:
                number = await _receive(request, Path(name))
                verdicts = await run_sync(self._try, Path(name))
        except Problem as problem:
            return answer_refusal(request, problem)
        finally:
            self._lock.release()
        note(request, files=number)
        return await run_sync(lambda: self._frame.render(request, "verdicts.html", verdicts=verdicts, number=number))

    def _try(self, folder: Path) -> list[Verdict]:
        try:
            return list(try_routes(self._settings, folder))
        except CannotUnderstand:
            raise Problem(400, "none of these files is a DICOM image") from None


async def _receive(request: Request, folder: Path) -> int:
    """Writes the parts of the body, each a file with a number for its name; how many. Raises Problem."""
    kind = parse_media_type(request.headers.get("content-type", ""))
    if kind.name != "multipart/related":
        raise Problem(415, "files come as multipart/related")
    try:
        reader = MultipartReader(kind.parameters.get("boundary", ""))
        return await _write_parts(request.stream(), reader, folder)
    except Malformed as error:
        raise Problem(400, str(error)) from None


async def _write_parts(pieces: AsyncIterator[bytes], reader: MultipartReader, folder: Path) -> int:
    number, size, file = 0, 0, None
    try:
        async for piece in pieces:
            size += len(piece)
            if size > MOST_BYTES:
                raise Problem(413, f"that is more than {MOST_BYTES // 1_000_000} MB; try a few files")
            for event in reader.feed(piece):
                if isinstance(event, PartBegin):
                    number += 1
                    if number > MOST_FILES:
                        raise Problem(413, f"that is more than {MOST_FILES} files; try a few")
                    file = (folder / f"{number:06d}").open("wb")
                elif isinstance(event, PartData) and file is not None:
                    file.write(event.data)
                elif file is not None:
                    file.close()
        reader.close()
    finally:
        if file is not None:
            file.close()
    return number


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
