"""How far the job at hand is: said by stations and pipelines, read by the heartbeat, kept nowhere else.

To say it costs an assignment, so that a pipeline may do it as often as it likes.
"""

import math

LONGEST = 40
"""Characters of what the ledger is told."""


class Activity:
    """The last (share, words) of one job. Safe to use from two threads: one says, one reads."""

    def __init__(self) -> None:
        self._station = ""
        self._said = (0.0, "")

    def enter(self, station: str) -> None:
        """A station begins: "load", "warm", "run", "encode", "put"."""
        self._station = station
        self._said = (0.0, station)

    def note(self, share: float, word: str) -> None:
        """See pipelines.pipeline.Progress. What is no number leaves the share as it was: no job fails for it."""
        try:
            done = float(share)
        except (TypeError, ValueError):
            done = math.nan
        self._said = (self._said[0] if math.isnan(done) else min(max(done, 0.0), 1.0), f"{self._station} {word}")

    def read(self) -> tuple[float, str]:
        """Share (0 to 1) and words: a station and what its pipeline does, one line of at most 40 characters."""
        share, words = self._said
        return share, " ".join("".join(c if c.isprintable() else " " for c in words).split())[:LONGEST]
