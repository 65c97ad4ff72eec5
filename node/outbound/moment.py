"""Deliveries that begin to wait at one moment are due together: what was asked for in one message is so again."""

import time
from functools import cache

from node.sections import Deliver


class Moment:
    """Now, and one draw of each pause that begins now. Times are seconds since the epoch."""

    def __init__(self, rules: Deliver) -> None:
        self.now = time.time()
        self._find_pause = cache(rules.find_pause)
        self._find_commit_pause = cache(rules.find_commit_pause)

    def find_next_try(self, attempts: int) -> float:
        """When what was tried `attempts` times before is sent again."""
        return self.now + self._find_pause(attempts)

    def find_next_ask(self, asks: int) -> float:
        """When the peer is asked again for what it was asked for `asks` times before."""
        return self.now + self._find_commit_pause(asks)
