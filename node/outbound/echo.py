"""C-ECHO as a client (PS3.4 annex A): is anybody there, and does it know us?"""

from node.errors import PeerUnreachable
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate


def echo(our_title: str, address: tuple[str, int], title: str) -> None:
    """Returns when the peer answered success; raises PeerUnreachable with its answer otherwise."""
    with associate(our_title, address, title, []) as association:
        with hold_reactor(association):
            status = association.send_c_echo()
        if "Status" not in status or status.Status != 0x0000:
            raise PeerUnreachable(f"{title} at {address[0]}:{address[1]} answers C-ECHO with {status.get('Status')}")
