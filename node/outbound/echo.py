"""C-ECHO as a client (PS3.4 annex A): is anybody there, and does it know us?"""

from pynetdicom.association import Association

from node.errors import PeerUnreachable
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate, associate_peer
from node.sections import Peer


def echo(our_title: str, address: tuple[str, int], title: str) -> None:
    """Returns when who is there answered success; raises PeerUnreachable with its answer otherwise."""
    with associate(our_title, address, title, []) as association:
        _ask(association, f"{title} at {address[0]}:{address[1]}")


def echo_peer(our_title: str, peer: Peer) -> None:
    """The same of a peer, by TLS where it has that."""
    with associate_peer(our_title, peer, []) as association:
        _ask(association, f"{peer.ae_title} at {peer.address}")


def _ask(association: Association, who: str) -> None:
    with hold_reactor(association):
        status = association.send_c_echo()
    if "Status" not in status or status.Status != 0x0000:
        raise PeerUnreachable(f"{who} answers C-ECHO with {status.get('Status')}")
