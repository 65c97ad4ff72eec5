"""pynetdicom's reactor, held still while an answer of ours is awaited.

Its thread looks for incoming messages between two sends, and in 3.0.4 may already have passed its pause when a request
goes out: it then takes a fast peer's answer for a request, and the sender waits for it until its timeout. And an
N-EVENT-REPORT is served by a thread of its own, which says at its end that the reactor is not paused, whatever the
reactor does: whoever waits for the pause, to send or to release, waits for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread

from pynetdicom.association import Association

PATIENCE = 2.0


class _Gate(Event):
    """Shut until `release`; tells when somebody waits before it. pynetdicom's own `set` after a send does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)

    def set(self) -> None:
        return

    def release(self) -> None:
        super().set()


class _Steady(Association):
    """Its reactor alone says whether it pauses; whoever ends the association says so for it."""

    @property
    def _is_paused(self) -> bool:
        return bool(self.__dict__["_is_paused"])

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        if current_thread() is self or self._kill:
            self.__dict__["_is_paused"] = value


def make_steady(association: Association) -> None:
    """From now on no N-EVENT-REPORT disturbs who waits for its reactor."""
    association.__class__ = _Steady


@contextmanager
def hold_reactor(association: Association) -> Iterator[None]:
    """Within it only this thread takes messages of `association`; what the peer asks meanwhile waits."""
    if current_thread() is association or not association.is_established:
        yield
        return
    before, gate = association._reactor_checkpoint, _Gate()
    association._reactor_checkpoint = gate
    gate.reached.wait(PATIENCE)
    try:
        yield
    finally:
        association._reactor_checkpoint = before
        gate.release()
