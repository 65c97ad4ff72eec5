"""pynetdicom's reactor, held still while an answer of ours is awaited.

Its thread looks for incoming messages between two sends, and in 3.0.4 may already have passed its pause when a request
goes out: it then takes a fast peer's answer for a request, and the sender waits for it until its timeout.
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
