"""Connections for orders: who may come in, and the limits. One message after the other, each answered before the next.

A connection that brings no message at all, one that is too long, or one that does not end, is closed: MLLP has no other
word for it, and the sender, who heard nothing, sends again.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Event
from typing import Any

from hl7 import mllp

from node.config import Settings
from node.errors import ConfigError
from node.inbound.orders.desk import OrderDesk
from node.messages.blocks import find_start, read_rest
from node.sections import Network
from node.security.tls import make_server_context

log = logging.getLogger(__name__)

HANDS = 4
"""Threads that keep what comes."""

HANDSHAKE = 10.0
TICK = 0.2
FORGET = 3600.0
"""Seconds between two looks for what is old."""


class OrderDoor:
    """The server."""

    def __init__(self, settings: Settings, desk: OrderDesk) -> None:
        self._rules = settings.hl7
        self._images = settings.keep.images.total_seconds()
        self._desk = desk
        self._open: set[asyncio.Task[None]] = set()
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="orders")

    def run(self, stop: Event) -> None:
        """Serves until `stop` is set. Raises ConfigError when it cannot listen."""
        try:
            asyncio.run(self._run(stop))
        finally:
            self._hands.shutdown()

    async def _run(self, stop: Event) -> None:
        server = await self._listen()
        log.info("orders are taken by HL7 on %s", self._rules.listen)
        forgot = -FORGET
        while not stop.is_set():
            if time.monotonic() - forgot > FORGET:
                forgot = time.monotonic()
                await self._forget()
            await asyncio.sleep(TICK)
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        rules = self._rules
        host, _, port = rules.listen.rpartition(":")
        secure: dict[str, Any] = {}
        if rules.tls:
            secure = {"ssl": make_server_context(rules.tls, "hl7.tls"), "ssl_handshake_timeout": HANDSHAKE}
        try:
            server: asyncio.Server = await mllp.start_hl7_server(
                self._meet, host, int(port), limit=rules.max_message_kb << 10, **secure
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigError(f"hl7.listen = {rules.listen!r}: {why}") from error
        return server

    async def _forget(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._hands, self._desk.forget, time.time() - self._images)
        except (OSError, sqlite3.Error) as error:
            log.warning("what is old could not be forgotten now: %s", type(error).__name__)

    async def _meet(self, reader: mllp.HL7StreamReader, writer: mllp.HL7StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        task = asyncio.current_task()
        caller = str((writer.get_extra_info("peername") or ("?",))[0])
        if task is None or not self._lets_in(caller):
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.LimitOverrunError:
            log.warning("%s sends more than hl7.max_message_kb in one message: closed", caller)
        except TimeoutError:
            log.info("%s was silent for too long: closed", caller)
        except (EOFError, OSError):
            log.debug("%s has gone", caller)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    def _lets_in(self, caller: str) -> bool:
        parsed = ip_address(caller.split("%", 1)[0]) if caller != "?" else None
        address = getattr(parsed, "ipv4_mapped", None) or parsed
        if address is None or not is_allowed(address, self._rules.senders):
            log.warning("%s may not send orders: it is in none of hl7.senders", caller)
            return False
        if len(self._open) >= self._rules.max_connections:
            log.warning("%s finds hl7.max_connections open", caller)
            return False
        return True

    async def _serve(self, reader: mllp.HL7StreamReader, writer: mllp.HL7StreamWriter) -> None:
        """Raises what ends a connection."""
        loop = asyncio.get_running_loop()
        while True:
            async with asyncio.timeout(self._rules.idle_timeout.total_seconds()):
                await find_start(reader)
            async with asyncio.timeout(self._rules.message_timeout.total_seconds()):
                block = await read_rest(reader)
            answer = await loop.run_in_executor(self._hands, self._desk.take, block)
            if answer is None:
                return
            async with asyncio.timeout(self._rules.message_timeout.total_seconds()):
                writer.writeblock(answer)
                await writer.drain()


def is_allowed(address: IPv4Address | IPv6Address, senders: Sequence[Network]) -> bool:
    """Somebody in one of `senders`; this machine alone where none are named."""
    return any(address in network for network in senders) if senders else address.is_loopback
