"""What the worker and a bundle's process say to each other: a line of JSON, then arrays as raw bytes. No pickle."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("bool", "uint8", "uint16", "float32", "float64")
LONGEST = 1 << 20
MOST_BYTES = 1 << 36
MOST_AXES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """words: what JSON can say. arrays: by name."""

    words: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def send(stream: IO[bytes], message: Message) -> None:
    """Writes `message`. Raises OSError when nobody reads any more."""
    shapes = {name: [str(array.dtype), list(array.shape)] for name, array in message.arrays.items()}
    stream.write(json.dumps({"words": message.words, "arrays": shapes}).encode() + b"\n")
    for array in message.arrays.values():
        stream.write(np.ascontiguousarray(array).data)
    stream.flush()


def receive(stream: IO[bytes], most_bytes: int = MOST_BYTES) -> Message | None:
    """The next message; None at the end. most_bytes: of all its arrays together; no more is ever reserved for them.

    Raises ValueError for bytes that are no message: the other side is not believed.
    """
    line = stream.readline(LONGEST)
    if not line:
        return None
    try:
        head = json.loads(line)
        words, shapes = dict(head["words"]), dict(head["arrays"])
        sizes = {name: _find_size(kind, shape) for name, (kind, shape) in shapes.items()}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no message: {type(error).__name__}") from error
    if sum(sizes.values()) > most_bytes:
        raise ValueError(f"arrays of {sum(sizes.values())} bytes, at most {most_bytes} are an answer")
    arrays = {}
    for name, (kind, shape) in shapes.items():
        content = bytearray(sizes[name])
        _fill(stream, content)
        arrays[name] = np.frombuffer(content, dtype=kind).reshape(shape)
    return Message(words, arrays)


def _find_size(kind: Any, shape: Any) -> int:
    """Bytes of an array as a message announces it. Raises ValueError, TypeError for what is none."""
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n <= MOST_BYTES for n in shape)
    if kind not in KINDS or not whole or len(shape) > MOST_AXES:
        raise ValueError("an array of no known kind or shape")
    size: int = math.prod(shape) * np.dtype(kind).itemsize
    return size


def _fill(stream: IO[bytes], content: bytearray) -> None:
    view, done = memoryview(content), 0
    while done < len(content):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the message ends early")
        done += count
