"""Who may associate with us, and what they may send (PS3.8 9.3.4, PS3.15)."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock

from node.config import Settings
from node.errors import AssociationRejected
from node.model.workitem import EVENT_CLASS
from node.sections import Callers, Peer
from node.services import WORKITEM_CLASSES, find_syntaxes, is_storage

REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
SERVICE_USER, PROVIDER_ACSE, PROVIDER_PRESENTATION = 1, 2, 3
CALLING_AE_NOT_RECOGNIZED, CALLED_AE_NOT_RECOGNIZED = 3, 7
TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 1, 2
"""Results, sources and reasons of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

REMEMBER = 60.0
"""Seconds for which the addresses of a peer's host name are believed."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an association. names: in the certificate that it showed by TLS, if any."""

    ae_title: str
    address: str
    names: frozenset[str] = frozenset()
    by_tls: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What a caller may do. sop_classes, transfer_syntaxes: what it may send; empty is all. may_work: it may see and
    change workitems. may_report: it may tell us of its own."""

    caller: Caller
    may_store: bool
    sop_classes: frozenset[str] = frozenset()
    transfer_syntaxes: frozenset[str] = frozenset()
    may_work: bool = False
    may_report: bool = False

    def find_syntaxes(self, abstract_syntax: str) -> tuple[str, ...]:
        """The transfer syntaxes in which this caller may use `abstract_syntax`; none when it may not."""
        syntaxes = find_syntaxes(abstract_syntax)
        if abstract_syntax in WORKITEM_CLASSES and not self.may_work:
            return ()
        if abstract_syntax == EVENT_CLASS and not self.may_report:
            return ()
        if not is_storage(abstract_syntax):
            return syntaxes
        if not self.may_store or (self.sop_classes and abstract_syntax not in self.sop_classes):
            return ()
        allowed = self.transfer_syntaxes
        return tuple(syntax for syntax in syntaxes if syntax in allowed) if allowed else syntaxes


class Access:
    """The rules of `settings`: called title, peers by title, address and certificate, and unknown callers."""

    def __init__(self, settings: Settings) -> None:
        self._title = settings.node.ae_title
        self._unknown = settings.listen.unknown_callers
        self._peers = {peer.ae_title: peer for peer in settings.peers.values() if peer.ae_title}
        self._hosts = Hosts()

    def admit(self, caller: Caller, called: str) -> Admission:
        """What `caller` may do. Raises AssociationRejected."""
        if called != self._title:
            text = f"{caller.ae_title!r} called AE {called!r}, which is not ours ({self._title!r})"
            raise AssociationRejected(REJECTED_PERMANENT, SERVICE_USER, CALLED_AE_NOT_RECOGNIZED, text)
        peer = self._peers.get(caller.ae_title)
        if peer is not None:
            self._check_origin(peer, caller)
            classes, syntaxes = frozenset(peer.sop_classes), frozenset(peer.transfer_syntaxes)
            return Admission(caller, peer.send, classes, syntaxes, peer.workitems, peer.reports)
        if self._admits_unknown(caller.address):
            return Admission(caller, may_store=True)
        if caller.ae_title == self._title:  # `wetread doctor` asks us by C-ECHO from another container
            return Admission(caller, may_store=False)
        raise _refuse(f"calling AE {caller.ae_title!r} at {caller.address} is no peer")

    def _admits_unknown(self, address: str) -> bool:
        if self._unknown == Callers.ANY:
            return True
        return self._unknown == Callers.LOOPBACK and _parse(address).is_loopback

    def _check_origin(self, peer: Peer, caller: Caller) -> None:
        if peer.tls_name and not caller.by_tls:
            raise _refuse(f"peer {peer.ae_title!r} called without TLS, but its tls_name is set")
        if peer.tls_name and peer.tls_name not in caller.names:
            raise _refuse(f"peer {peer.ae_title!r} showed a certificate that is not {peer.tls_name!r}")
        address = _parse(caller.address)
        if peer.networks:
            if not any(address in network for network in peer.networks):
                raise _refuse(f"peer {peer.ae_title!r} called from {caller.address}, which is in none of its networks")
        elif not peer.address or address not in self._hosts.find(peer.host):
            raise _refuse(
                f"peer {peer.ae_title!r} called from {caller.address}, which is not {peer.host or 'its address'}; "
                "if it may, name its networks"
            )


class Hosts:
    """Addresses of host names, believed for a while."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[float, frozenset[IPv4Address | IPv6Address]]] = {}

    def find(self, host: str) -> frozenset[IPv4Address | IPv6Address]:
        """All addresses of `host`; none when it has no address now."""
        now = time.monotonic()
        with self._lock:
            until, addresses = self._known.get(host, (0.0, frozenset()))
        if now >= until:
            addresses = frozenset(_resolve(host))
            with self._lock:
                self._known[host] = (now + (REMEMBER if addresses else 1.0), addresses)
        return addresses


def _resolve(host: str) -> Iterable[IPv4Address | IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, place in found:
        yield _parse(str(place[0]))


def _parse(address: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that came by an IPv6 socket is an IPv4 address."""
    parsed = ip_address(address.split("%", 1)[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _refuse(text: str) -> AssociationRejected:
    return AssociationRejected(REJECTED_PERMANENT, SERVICE_USER, CALLING_AE_NOT_RECOGNIZED, text)
