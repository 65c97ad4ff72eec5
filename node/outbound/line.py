"""A line: an open way to one destination. `dicom_line` and `stow` say how."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from node.model.delivery import Delivery
from node.outbound.answers import Answer


class Line(Protocol):
    """Open from the moment it is made; whoever opened it closes it."""

    @property
    def most(self) -> int:
        """How many objects one message takes."""
        ...

    @property
    def is_up(self) -> bool:
        """False when the peer has ended it."""
        ...

    def store(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        """Sends at most `most` objects; an answer for each. Raises PeerUnreachable when there is none for all."""
        ...

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        """Asks, as the peer is configured, whether it keeps what it took (SENT), and writes what it says."""
        ...
