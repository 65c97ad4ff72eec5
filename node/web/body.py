"""Bodies of requests: short ones whole, within a bound; long ones in pieces, while their sender goes on."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import anyio
from starlette.requests import ClientDisconnect, Request

from node.web.refusal import Refusal

LONGEST_FORM = 1 << 16
"""Bytes of a form, or of a program's JSON."""

GATHER = 1 << 20
"""Bytes that are handed on together."""


async def read_bounded(request: Request, most: int = LONGEST_FORM) -> bytes:
    """The whole body, of `most` bytes. Raises Refusal 413 when it has more, 400 when the sender broke off."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise Refusal(413, f"the body has more than {most} bytes", close=True)
    except ClientDisconnect:
        raise Refusal(400, "the sender broke off", close=True) from None
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an HTML form. Raises Refusal 400, 413."""
    try:
        return {key: values[0] for key, values in parse_qs((await read_bounded(request)).decode("ascii")).items()}
    except ValueError:
        raise Refusal(400, "the form cannot be read") from None


async def gather(request: Request, patience: float) -> AsyncIterator[bytes]:
    """The body in pieces worth a turn of a thread. Raises TimeoutError after `patience` seconds of silence."""
    stream = request.stream()
    held: list[bytes] = []
    size = 0
    while True:
        with anyio.fail_after(patience):
            try:
                piece = await anext(stream)
            except StopAsyncIteration:
                break
        held.append(piece)
        size += len(piece)
        if size >= GATHER:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
