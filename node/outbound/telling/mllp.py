"""A receiver by HL7 version 2: one connection, one message after the other, each acknowledged before the next (MLLP).

What comes that is no acknowledgment of the message at hand (a late one, garbage) is passed over; a receiver that says
nothing more within `answer_wait` did not answer.
"""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hl7 import mllp

from node.errors import PeerUnreachable
from node.messages.acknowledgment import Reply, read_acknowledgment
from node.messages.blocks import read_block
from node.sections import Receiver
from node.security.tls import make_client_context

MOST = 1 << 20
"""Bytes of an acknowledgment at most."""

CONNECT = 10.0
"""Seconds for a connection, TLS included."""


@contextmanager
def open_mllp_line(receiver: Receiver, answer_wait: float) -> Iterator["MllpLine"]:
    """A connection to `receiver`. Raises PeerUnreachable."""
    with asyncio.Runner() as runner:
        line = MllpLine(runner, receiver, answer_wait)
        try:
            yield line
        finally:
            line.close()


class MllpLine:
    """See `line.TellLine`."""

    def __init__(self, runner: asyncio.Runner, receiver: Receiver, answer_wait: float) -> None:
        self._runner = runner
        self._patience = answer_wait
        self._reader, self._writer = runner.run(_connect(receiver, min(CONNECT, answer_wait)))

    def tell(self, text: bytes, control_id: str) -> Reply:
        return self._runner.run(self._tell(text, control_id))

    def close(self) -> None:
        """Ends the connection, whatever the other side does."""
        self._runner.run(self._close())

    async def _tell(self, text: bytes, control_id: str) -> Reply:
        try:
            async with asyncio.timeout(self._patience):
                self._writer.writeblock(text)
                await self._writer.drain()
                while True:
                    reply = read_acknowledgment(await read_block(self._reader), control_id)
                    if reply is not None:
                        return reply
        except TimeoutError:
            raise PeerUnreachable(f"no acknowledgment within {self._patience:.0f} s") from None
        except asyncio.LimitOverrunError:
            raise PeerUnreachable(f"answers with more than {MOST >> 10} KiB that end nowhere") from None
        except (OSError, EOFError) as error:
            raise PeerUnreachable(f"the connection ended before an acknowledgment ({type(error).__name__})") from None

    async def _close(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._writer.wait_closed()


async def _connect(receiver: Receiver, patience: float) -> tuple[mllp.HL7StreamReader, mllp.HL7StreamWriter]:
    context = make_client_context(receiver.tls) if receiver.tls else None
    try:
        async with asyncio.timeout(patience):
            name = (receiver.tls.name or receiver.host) if receiver.tls else None
            connection: tuple[mllp.HL7StreamReader, mllp.HL7StreamWriter] = await mllp.open_hl7_connection(
                receiver.host, receiver.port, limit=MOST, encoding="utf-8", ssl=context, server_hostname=name
            )
            return connection
    except TimeoutError:
        raise PeerUnreachable(f"no connection to {receiver.address} within {patience:.0f} s") from None
    except ssl.SSLError as error:
        raise PeerUnreachable(f"no TLS with {receiver.address}: {error.reason or type(error).__name__}") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise PeerUnreachable(f"no connection to {receiver.address}: {why}") from None
