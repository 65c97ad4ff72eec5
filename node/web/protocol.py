"""uvicorn's HTTP/1.1 by h11, which can also give whole files to a connection without reading them, and take a long body
from it on a thread.

An application finds GIVE and TAKE in the extensions of a request that came without TLS. It sends "http.response.start"
with a Content-Length as ever, and then awaits GIVE in place of "http.response.body". It awaits TAKE in place of all
"http.request" of a body whose Content-Length it knows.
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

from node.web.inlet import Inlet
from node.web.outlet import Outlet, Stretch

log = logging.getLogger(__name__)

GIVE = "wetread.give"
Give = Callable[[Iterator[Stretch], int], Awaitable[None]]
"""Takes the body, and how many bytes it has."""

TAKE = "wetread.take"
Take = Callable[[Callable[[bytes], None], int, float, anyio.CapacityLimiter], Awaitable[None]]
"""Takes what is handed the pieces, on a thread; how many bytes there are, for how many seconds the sender may be
silent, and whose threads these are. Raises TimeoutError, ConnectionError, and what the handed raises."""

DEFAULT_LONGEST = 1 << 16
"""Bytes of a header, where the server's configuration says nothing."""

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

    _took = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Offers GIVE and TAKE to each of its requests, unless there is a cipher between."""
        super().connection_made(transport)
        if self.scheme == "http":
            app = self.app

            async def offer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
                give: Give = lambda stretches, size: self._give(self.cycle, stretches, size)  # noqa: E731
                take: Take = lambda *given: self._take(self.cycle, *given)  # noqa: E731
                scope["extensions"] = {**scope.get("extensions", {}), GIVE: give, TAKE: take}
                await app(cast("Any", scope), receive, send)

            self.app = cast("Any", offer)

    def on_response_complete(self) -> None:
        """After a body of which h11 knows nothing, one that knows nothing at all reads the next request."""
        if self._took:
            self._took = False
            self.conn = h11.Connection(h11.SERVER, self.config.h11_max_incomplete_event_size or DEFAULT_LONGEST)
        super().on_response_complete()

    async def _take(
        self,
        cycle: RequestResponseCycle,
        feed: Callable[[bytes], None],
        size: int,
        patience: float,
        hands: anyio.CapacityLimiter,
    ) -> None:
        if self.transport.is_closing():
            raise ConnectionResetError("the sender broke off")
        self.flow.pause_reading()
        self._let_go_on(cycle)
        begun, cycle.body = bytes(cycle.body), bytearray()
        self._took = len(begun) < size
        inlet = Inlet(self.transport.get_extra_info("socket").fileno(), size, feed, begun)
        try:
            while not await run_sync(inlet.pull, limiter=hands):
                with anyio.fail_after(patience):
                    await _wait_for(self.loop.add_reader, self.loop.remove_reader, inlet.fileno())
        finally:
            inlet.close()

    def _let_go_on(self, cycle: RequestResponseCycle) -> None:
        """A sender that waits to be told so sends its body (RFC 9110 10.1.1)."""
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(
                self.conn.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            )

    async def _give(self, cycle: RequestResponseCycle, stretches: Iterator[Stretch], size: int) -> None:
        """Where the receiver breaks off, or a file is gone by now, the connection ends before the announced length."""
        while self.transport.get_write_buffer_size() and not cycle.disconnected:
            await asyncio.sleep(0)  # the header first
        if cycle.disconnected:
            return
        outlet = Outlet(self.transport.get_extra_info("socket").fileno(), stretches)
        try:
            while not await run_sync(outlet.push, limiter=_find_hands()):
                await _wait_for(self.loop.add_writer, self.loop.remove_writer, outlet.fileno())
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


async def _wait_for(watch: Callable[..., None], leave: Callable[[int], object], descriptor: int) -> None:
    """Returns when the socket has or takes more, or is broken."""
    there = asyncio.Event()
    watch(descriptor, there.set)
    try:
        await there.wait()
    finally:
        leave(descriptor)
