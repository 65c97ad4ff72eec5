"""A circuit: whether a destination can be reached, as all processes of the node know it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed while the peer answers. Open after some consecutive failures to reach it: then one try goes out a wait,
    and the first that is answered closes it.

    failures: consecutive ones. opened_at: when it opened, 0 while it is closed. next_at: of the next try while it is
    open. heard_at: when the peer last answered us, 0 if never. answer: what came of the last try. Times are seconds
    since the epoch, UTC.
    """

    peer: str
    failures: int = 0
    opened_at: float = 0.0
    next_at: float = 0.0
    heard_at: float = 0.0
    answer: str = ""

    @property
    def is_open(self) -> bool:
        return self.opened_at > 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a destination: how many deliveries that it has not taken, or has not confirmed, and since when the
    oldest does (seconds since the epoch, UTC)."""

    waiting: int = 0
    unconfirmed: int = 0
    oldest_at: float | None = None
