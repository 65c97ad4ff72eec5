"""What tells a receiver, whatever its kind."""

from typing import Protocol

from node.messages.acknowledgment import Reply


class TellLine(Protocol):
    """A line to one receiver, open."""

    def tell(self, text: bytes, control_id: str) -> Reply:
        """Sends one message and waits for what the receiver says of it. Raises PeerUnreachable when it says nothing."""
        ...
