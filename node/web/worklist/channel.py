"""The notification connection: a WebSocket by which a subscriber is told (PS3.18 8.10, 11.13).

Each event is one text frame of DICOM JSON. What was sent counts as told when the subscriber says good-bye, or when the
connection still lives LINGER seconds later. Of a connection that breaks it is told again to the next one: twice
perhaps, never not at all.
"""

import asyncio
import json
import logging
import time
from collections import deque
from threading import Event, Thread

from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from node.model.workitem import PUSH_CLASS, Notice
from node.web.worklist.service import AE_TITLE, CHANNEL
from node.worklist import Worklist

log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between two looks for new events."""

LINGER = 30.0
"""Seconds in which the server notices that a client is gone: it pings every 10 and waits 10 for the answer."""

CLEAN = frozenset({1000, 1001})


class Channels:
    """All notification connections of a web process. From `start` to `stop` a thread looks for news."""

    def __init__(self, worklist: Worklist, base: str) -> None:
        self._worklist = worklist
        self._path = base + CHANNEL
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bells: set[asyncio.Event] = set()

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
        bell = asyncio.Event()
        bell.set()
        self._bells.add(bell)
        talk = Talk(self._worklist, socket, name)
        teller = asyncio.create_task(talk.go_on(bell))
        try:
            code = await _wait_for_end(socket)
        finally:
            self._bells.discard(bell)
            teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
        if code in CLEAN:
            await talk.settle(time.monotonic() + LINGER)

    def _watch(self) -> None:
        newest = -1
        while not self._stop.wait(PAUSE):
            try:
                found = self._worklist.find_newest() if self._bells else newest
            except SQLAlchemyError:
                log.exception("the worklist cannot be asked for news; it is asked again")
                self._stop.wait(1.0)
                continue
            if found != newest and self._loop is not None:
                newest = found
                self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()


class Talk:
    """One connection: what was sent on it, and when."""

    def __init__(self, worklist: Worklist, socket: WebSocket, name: str) -> None:
        self._worklist, self._socket, self._name = worklist, socket, name
        self._sent: deque[tuple[float, int]] = deque()
        self._last = 0

    async def go_on(self, bell: asyncio.Event) -> None:
        """Sends what there is whenever the bell rings, until canceled."""
        while True:
            try:
                await asyncio.wait_for(bell.wait(), LINGER / 4)
            except TimeoutError:
                await self.settle(time.monotonic())
                continue
            bell.clear()
            while notices := await run_sync(self._worklist.find_notices, self._name, self._last):
                for notice in notices:
                    await self._socket.send_text(to_frame(notice))
                    self._last = notice.number
                    self._sent.append((time.monotonic(), notice.number))
            await self.settle(time.monotonic())

    async def settle(self, now: float) -> None:
        """What was sent LINGER seconds before `now` was told."""
        told = []
        while self._sent and self._sent[0][0] <= now - LINGER:
            told.append(self._sent.popleft()[1])
        if told:
            await run_sync(self._worklist.settle_notices, self._name, told)


def to_frame(notice: Notice) -> str:
    """An event report: the elements of N-EVENT-REPORT's command before its information (PS3.18 8.10.5)."""
    command = {
        "00000002": {"vr": "UI", "Value": [PUSH_CLASS]},
        "00000110": {"vr": "US", "Value": [notice.number % 65536]},
        "00001000": {"vr": "UI", "Value": [notice.uid]},
        "00001002": {"vr": "US", "Value": [int(notice.report)]},
    }
    return json.dumps(command | json.loads(notice.model), ensure_ascii=False, separators=(",", ":"))


async def _wait_for_end(socket: WebSocket) -> int:
    """The code with which the subscriber's side ended it; what it says before is not listened to."""
    while True:
        try:
            message = await socket.receive()
        except (RuntimeError, WebSocketDisconnect):
            return 1006
        if message["type"] == "websocket.disconnect":
            return int(message.get("code") or 1006)
