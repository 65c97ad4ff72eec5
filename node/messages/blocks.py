"""Blocks of the Minimal Lower Layer Protocol: <VT> message <FS><CR> (HL7 implementation guide, appendix C).

More tolerant than hl7.mllp's own reader, whose streams these are: what stands between blocks is passed over, a block
that begins anew before it ended is the new one, and the <CR> after <FS> may be missing.
"""

import asyncio

START, END = b"\x0b", b"\x1c"


async def find_start(reader: asyncio.StreamReader) -> None:
    """Waits until a block begins. Raises what `read_rest` raises."""
    await reader.readuntil(START)


async def read_rest(reader: asyncio.StreamReader) -> bytes:
    """The message of a block that has begun. Raises asyncio.LimitOverrunError when it is longer than the reader's
    limit, asyncio.IncompleteReadError (an EOFError) when the other side ended first."""
    block = await reader.readuntil(END)
    return block[block.rfind(START) + 1 : -1].strip(b"\r\n")


async def read_block(reader: asyncio.StreamReader) -> bytes:
    """The next message, without its frame. Raises what `read_rest` raises."""
    await find_start(reader)
    return await read_rest(reader)
