"""What happened at the door in a moment, to be written to the ledger in one step."""

from collections import Counter
from dataclasses import dataclass, field

from node.model.study import Instance


@dataclass(frozen=True, slots=True)
class Opened:
    """An association that began to bring images. Times are seconds since the epoch, UTC."""

    id: str
    listener: str
    caller: str
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """how: "released", "idle", "aborted"."""

    id: str
    how: str
    at: float


@dataclass(slots=True)
class Batch:
    """opened, instances and ended in the order in which they are written: an association never ends before its images.

    instances: with the association that brought each, "" for none. counts: what the door saw, by kind.
    """

    opened: list[Opened] = field(default_factory=list)
    instances: list[tuple[Instance, str]] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
