"""The notification connection: a WebSocket by which a subscriber is told (PS3.18 8.10, 11.13).

Each event is one text frame of DICOM JSON. What was sent counts as told when the subscriber says good-bye, or when the
connection still lives LINGER seconds later. Of a connection that breaks it is told again to the next one: twice
perhaps, never not at all.
"""

import asyncio
import logging
import math
import time
from collections import deque
from threading import Event, Thread

from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from node.web.worklist.news import News, to_frame
from node.web.worklist.service import AE_TITLE, CHANNEL
from node.worklist import Worklist

log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between two looks for new events."""

LINGER = 30.0
"""Seconds in which the server notices that a client is gone: it pings every 10 and waits 10 for the answer."""

SETTLE = 5.0
"""Seconds between two looks for what was told by then."""

CLEAN = frozenset({1000, 1001})


class Channels:
    """All notification connections of a web process. From `start` to `stop` a thread looks for news."""

    def __init__(self, worklist: Worklist, base: str) -> None:
        self._worklist = worklist
        self._path = base + CHANNEL
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = News(worklist)
        self._talks: set[Talk] = set()

    def make_routes(self) -> list[WebSocketRoute]:
        """GET /subscribers/{aetitle}, upgraded."""
        return [WebSocketRoute(self._path, self.open)]

    def start(self) -> None:
        """In the event loop that serves."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Returns when nobody looks any more."""
        self._stop.set()
        self._thread.join(10)

    async def open(self, socket: WebSocket) -> None:
        """Starlette's endpoint."""
        name = str(socket.path_params["aetitle"]).strip()
        if not AE_TITLE.fullmatch(name):
            await socket.close(1008)
            return
        await socket.accept()
        talk = Talk(self._worklist, self._news, socket, name)
        self._talks.add(talk)
        teller = asyncio.create_task(talk.go_on())
        try:
            code = await _wait_for_end(socket)
        finally:
            self._talks.discard(talk)
            teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
        if code in CLEAN:
            await run_sync(self._worklist.settle_told, {name: talk.take_told(math.inf)})

    def _watch(self) -> None:
        settled = time.monotonic()
        while not self._stop.wait(PAUSE):
            try:
                if self._talks and self._news.look() and self._loop is not None:
                    self._loop.call_soon_threadsafe(self._ring)
                if time.monotonic() > settled + SETTLE:
                    settled = time.monotonic()
                    self._settle(settled - LINGER)
            except SQLAlchemyError:
                log.exception("the worklist cannot be asked for news; it is asked again")
                self._stop.wait(1.0)

    def _ring(self) -> None:
        for talk in self._talks:
            talk.bell.set()

    def _settle(self, before: float) -> None:
        """What was sent before then, on connections that still live, was told: all of it in one step."""
        told: dict[str, list[int]] = {}
        for talk in self._talks.copy():
            told.setdefault(talk.name, []).extend(talk.take_told(before))
        self._worklist.settle_told(told)


class Talk:
    """One connection: what was sent on it, and when. bell: rings when there is news."""

    def __init__(self, worklist: Worklist, news: News, socket: WebSocket, name: str) -> None:
        self._worklist, self._news, self._socket, self.name = worklist, news, socket, name
        self._sent: deque[tuple[float, int]] = deque()
        self._heard = 0
        self.bell = asyncio.Event()

    async def go_on(self) -> None:
        """Sends what there is whenever the bell rings, until canceled."""
        await self._catch_up()
        while True:
            await self.bell.wait()
            self.bell.clear()
            found = self._news.find(self.name, self._heard)
            if found is None:
                await self._catch_up()
                continue
            self._heard, pieces = found
            for piece in pieces:
                await self._send(piece.frame, piece.number)

    async def _catch_up(self) -> None:
        """By the database."""
        newest = self._news.newest
        while notices := await run_sync(self._worklist.find_notices, self.name, self._heard):
            for notice in notices:
                await self._send(to_frame(notice), notice.number)
                self._heard = notice.number
        self._heard = max(self._heard, newest)

    async def _send(self, frame: str, number: int) -> None:
        await self._socket.send_text(frame)
        self._sent.append((time.monotonic(), number))

    def take_told(self, before: float) -> list[int]:
        """What was sent before then (monotonic seconds), and is not asked for again."""
        told = []
        while self._sent and self._sent[0][0] <= before:
            told.append(self._sent.popleft()[1])
        return told


async def _wait_for_end(socket: WebSocket) -> int:
    """The code with which the subscriber's side ended it; what it says before is not listened to."""
    while True:
        try:
            message = await socket.receive()
        except (RuntimeError, WebSocketDisconnect):
            return 1006
        if message["type"] == "websocket.disconnect":
            return int(message.get("code") or 1006)
