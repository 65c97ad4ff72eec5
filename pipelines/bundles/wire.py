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


def receive(stream: IO[bytes], most_bytes: int = 1 << 36) -> Message | None:
    """The next message; None at the end. Raises ValueError for bytes that are none: the other side is not believed."""
    line = stream.readline(LONGEST)
    if not line:
        return None
    head = json.loads(line)
    arrays = {}
    for name, (kind, shape) in head["arrays"].items():
        if kind not in KINDS or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"an array of {kind!r}")
        size = math.prod(shape) * np.dtype(kind).itemsize
        if size > most_bytes:
            raise ValueError(f"an array of {size} bytes")
        content = bytearray(size)
        _fill(stream, content)
        arrays[name] = np.frombuffer(content, dtype=kind).reshape(shape)
    return Message(dict(head["words"]), arrays)


def _fill(stream: IO[bytes], content: bytearray) -> None:
    view, done = memoryview(content), 0
    while done < len(content):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the message ends early")
        done += count
