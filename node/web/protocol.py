"""uvicorn's HTTP/1.1 by h11, which can also give whole files to a connection without reading them.

An application finds GIVE in the extensions of a request that came without TLS. It sends "http.response.start" with a
Content-Length as ever, and then awaits GIVE in place of "http.response.body".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, cast

import anyio
import h11
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from node.web.outlet import Outlet, Stretch

log = logging.getLogger(__name__)

GIVE = "wetread.give"
Give = Callable[[Iterator[Stretch], int], Awaitable[None]]
"""Takes the body, and how many bytes it has."""

AT_ONCE = 32
"""Connections that are served by a thread at one moment."""


_hands: RunVar[anyio.CapacityLimiter] = RunVar("hands")


class _Gone:
    """As many bytes as h11 has to be told of, which went without it."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


class FileProtocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Offers GIVE to each of its requests, unless what is written must be enciphered first."""
        super().connection_made(transport)
        if self.scheme == "http":
            app = self.app

            async def offer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
                give: Give = lambda stretches, size: self._give(self.cycle, stretches, size)  # noqa: E731
                scope["extensions"] = {**scope.get("extensions", {}), GIVE: give}
                await app(cast("Any", scope), receive, send)

            self.app = cast("Any", offer)

    async def _give(self, cycle: RequestResponseCycle, stretches: Iterator[Stretch], size: int) -> None:
        """Where the receiver breaks off, or a file is gone by now, the connection ends before the announced length."""
        while self.transport.get_write_buffer_size() and not cycle.disconnected:
            await asyncio.sleep(0)  # the header first
        if cycle.disconnected:
            return
        outlet = Outlet(self.transport.get_extra_info("socket").fileno(), stretches)
        try:
            while not await run_sync(outlet.push, limiter=_find_hands()):
                await _wait_writable(self.loop, outlet)
        except OSError as error:
            if not isinstance(error, ConnectionError):
                log.warning("an answer broke off: %s", error.strerror or error)
            cycle.disconnected = True
            self.transport.abort()
            return
        finally:
            outlet.close()
        if not cycle.disconnected:
            self.conn.send_with_data_passthrough(h11.Data(data=cast("bytes", _Gone(size))))
            await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})


def _find_hands() -> anyio.CapacityLimiter:
    """One for all connections of an event loop: the viewer's port has a loop of its own."""
    try:
        return _hands.get()
    except LookupError:
        _hands.set(anyio.CapacityLimiter(AT_ONCE))
        return _hands.get()


async def _wait_writable(loop: asyncio.AbstractEventLoop, outlet: Outlet) -> None:
    """Returns when the socket takes more, or is broken."""
    there = asyncio.Event()
    loop.add_writer(outlet.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_writer(outlet.fileno())
