"""Blocks of the Minimal Lower Layer Protocol: <VT> message <FS><CR> (HL7 implementation guide, appendix C).

More tolerant than hl7.mllp's own reader, whose streams these are: what stands between blocks is passed over, a block
that begins anew before it ended is the new one, and the <CR> after <FS> may be missing.
"""

import asyncio

START, END = b"\x0b", b"\x1c"


async def read_block(reader: asyncio.StreamReader) -> bytes:
    """The next message, without its frame. Raises asyncio.LimitOverrunError when it is longer than the reader's limit,
    asyncio.IncompleteReadError (an EOFError) when the other side ended first."""
    while True:
        block = await reader.readuntil(END)
        start = block.rfind(START)
        if start >= 0:
            return block[start + 1 : -1].strip(b"\r\n")
