"""The part of the ledger's port that speaks of webhooks. `HookLedger` says how."""

from collections.abc import Callable
from typing import Protocol

from node.model.webhook import Hook, Notice, NoticeState, Told


class Hooks(Protocol):
    """Who is told of what, and what came of it."""

    def open_hook(self, name: str) -> Hook:
        """The hook of this name; a new one is told of what the history says from now on."""
        ...

    def find_hooks(self) -> dict[str, Hook]:
        """By name, those that are no longer configured among them."""
        ...

    def draw_notices(self, hook: Hook, wants: Callable[[Notice], bool], at: float, limit: int) -> int:
        """Reads at most `limit` further lines of the history, and writes a PENDING notice of each that the hook wants,
        in one step. They wait from `at` on. Returns how many lines were read, 0 also when somebody else read them."""
        ...

    def find_notices_due(self, name: str, at: float, limit: int) -> list[Notice]:
        """PENDING and due by `at`, in the order of the history: of each job the oldest alone, for what comes later is
        told later."""
        ...

    def move_notice(self, notice: Notice, to: NoticeState, answer: str, next_at: float) -> bool:
        """Compare-and-set on the state: one more attempt came to `answer`. False when it is no longer as read."""
        ...

    def revive_notices(self, name: str, at: float) -> int:
        """Those that are DEAD wait again from `at` on; returns how many."""
        ...

    def reach_hook(self, name: str, at: float, answer: str) -> None:
        """It answered."""
        ...

    def miss_hook(self, name: str, answer: str, next_at: float) -> None:
        """It did not; nothing is tried before `next_at`."""
        ...

    def pause_hook(self, name: str, at: float, answer: str) -> None:
        """It wants no more until somebody resumes it. What is due for it waits."""
        ...

    def resume_hook(self, name: str, at: float) -> bool:
        """It is tried at `at`, with all that waited meanwhile. False when there is none of that name."""
        ...

    def count_notices(self) -> dict[str, Told]:
        """By hook."""
        ...

    def find_dead(self, name: str, limit: int) -> list[Notice]:
        """The newest that were given up."""
        ...

    def forget_notices(self, before: float) -> int:
        """Those SENT or DEAD that waited from before then are no longer remembered; returns how many."""
        ...
