"""The newest events of the worklist, read and written down once for all who listen.

Whoever has heard everything up to an event that is remembered here needs no look at the database; others catch up
there first.
"""

import json
from dataclasses import dataclass

from node.model.workitem import PUSH_CLASS, Notice
from node.worklist import Worklist

KEPT = 500
"""Events that are remembered."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An event as it goes out, and whom it is for."""

    number: int
    frame: str
    subscribers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Memory:
    """Every event beyond `since`, up to `newest`."""

    since: int
    newest: int
    pieces: tuple[Piece, ...] = ()


class News:
    """Of one worklist. One thread looks, others read."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist
        self._memory = Memory(0, 0)

    @property
    def newest(self) -> int:
        """Up to which event it has looked."""
        return self._memory.newest

    def look(self) -> bool:
        """Whether there is something new."""
        memory, newest = self._memory, self._worklist.find_newest()
        if newest <= memory.newest:
            return False
        told = self._worklist.find_news(memory.newest, newest, KEPT + 1)
        if len(told) > KEPT:  # the first look, or nobody listened for long
            self._memory = Memory(newest, newest)
            return True
        fresh = [Piece(notice.number, to_frame(notice), names) for notice, names in told]
        pieces = (*memory.pieces, *fresh)
        since = pieces[-KEPT - 1].number if len(pieces) > KEPT else memory.since
        self._memory = Memory(since, newest, pieces[-KEPT:])
        return True

    def find(self, name: str, after: int) -> tuple[int, list[Piece]] | None:
        """(up to which event, those for `name` beyond `after`); None when not all of them are remembered."""
        memory = self._memory
        if after < memory.since:
            return None
        found = []
        for piece in reversed(memory.pieces):
            if piece.number <= after:
                break
            if name in piece.subscribers:
                found.append(piece)
        return memory.newest, found[::-1]


def to_frame(notice: Notice) -> str:
    """An event report: the elements of N-EVENT-REPORT's command before its information (PS3.18 8.10.5)."""
    command = {
        "00000002": {"vr": "UI", "Value": [PUSH_CLASS]},
        "00000110": {"vr": "US", "Value": [notice.number % 65536]},
        "00001000": {"vr": "UI", "Value": [notice.uid]},
        "00001002": {"vr": "US", "Value": [int(notice.report)]},
    }
    return json.dumps(command | json.loads(notice.model), ensure_ascii=False, separators=(",", ":"))
