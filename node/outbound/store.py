"""C-STORE as a client (PS3.4 annex B): files to a peer as they are, each with its own status."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from node.dicom.uids import VERIFICATION
from node.dicom.write import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.errors import PeerUnreachable
from node.outbound.answers import Answer
from node.outbound.reactor import hold_reactor, make_steady
from node.outbound.stream import stream_file
from node.sections import Peer
from node.security.tls import find_fault, make_client_context

MAX_CONTEXTS = 126
"""Of the 128 presentation contexts that an association may have (PS3.8 9.3.2.2), two stay free for other services."""

EXPLICIT = str(ExplicitVRLittleEndian)

ANSWER_WAIT = 60.0


@contextmanager
def associate(
    our_title: str,
    address: tuple[str, int],
    title: str,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[Any] = (),
    answer_wait: float = ANSWER_WAIT,
    tls: tuple[ssl.SSLContext, str] | None = None,
) -> Iterator[Association]:
    """An association that is released at the end; a peer silent for `answer_wait` seconds is taken for dead. tls: how,
    and the name that the peer's certificate must have. Raises PeerUnreachable saying what the peer answered."""
    entity = AE(our_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout, entity.acse_timeout = min(5.0, answer_wait), min(15.0, answer_wait)
    entity.dimse_timeout = entity.network_timeout = answer_wait
    shown = f"{title} at {address[0]}:{address[1]}"
    try:
        association = entity.associate(
            address[0],
            address[1],
            # Verification is taken by every peer: without it, one that takes none of the rest would look dead.
            contexts=[*contexts, build_context(VERIFICATION)],
            ae_title=title,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), *handlers],
        )
    except OSError as error:  # pynetdicom 3.0.4 lets out that the host's name does not resolve
        raise PeerUnreachable(f"{shown}: {error.strerror or error}") from error
    except UnicodeError:
        raise PeerUnreachable(f"{shown}: {address[0]!r} cannot be a host name") from None
    rejection = _find_rejection(association)
    if rejection is not None:
        raise PeerUnreachable(f"{shown} rejects the association: {rejection.reason_str}")
    if not association.is_established:
        if tls is not None and (fault := find_fault(address, *tls, entity.connection_timeout)):
            raise PeerUnreachable(f"{shown}: {fault}")
        raise PeerUnreachable(f"{shown} does not answer; is it up, and does it know AE title {our_title}?")
    make_steady(association)
    link: Any = association.dul.socket
    if link is not None and link.socket is not None:
        link.socket.settimeout(answer_wait)  # a peer that stops reading would hold us for as long as it lives
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


@contextmanager
def associate_peer(
    our_title: str,
    peer: Peer,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[Any] = (),
    answer_wait: float = ANSWER_WAIT,
) -> Iterator[Association]:
    """The same with `peer` at its address, by TLS where it has that."""
    tls = (make_client_context(peer.tls), peer.tls.name or peer.host) if peer.tls else None
    address = (peer.host, peer.port)
    with associate(our_title, address, peer.ae_title, contexts, handlers, roles, answer_wait, tls) as association:
        yield association


def _find_rejection(association: Association) -> Any:
    """The A-ASSOCIATE-RJ that was answered, or None. Of one that came before the asking thread woke, pynetdicom 3.0.4
    takes the closed connection for one that never was, and leaves the answer in its queue."""
    if association.is_rejected:
        return association.acceptor.primitive
    answer: Any = None if association.is_established else association.dul.receive_pdu()
    return answer if isinstance(answer, A_ASSOCIATE) and answer.result in (1, 2) else None


def make_contexts(kinds: Sequence[tuple[str, str]]) -> list[PresentationContext]:
    """One presentation context per (SOP class, transfer syntax), so that each is accepted or refused for itself;
    Explicit VR files are offered in Implicit VR too, the one syntax that every peer knows (PS3.5 10.1)."""
    wanted = dict.fromkeys(kinds)
    wanted |= {(sop_class, str(ImplicitVRLittleEndian)): None for sop_class, syntax in kinds if syntax == EXPLICIT}
    return [build_context(sop_class, [syntax]) for sop_class, syntax in wanted][:MAX_CONTEXTS]


def store_file(association: Association, path: Path) -> Answer:
    """Sends one Part 10 file, byte for byte where the peer takes its transfer syntax; an uncompressed one otherwise in
    the byte layout that it takes. A peer that takes neither is answered for: 0x0122 (SOP Class Not Supported)."""
    try:
        with hold_reactor(association):
            try:
                status = stream_file(association, path)
            except ValueError:
                if read_kind(path)[1] != EXPLICIT:
                    raise
                status = association.send_c_store(dcmread(path))
    except ValueError as error:
        return Answer(0x0122, str(error)[:200])
    except (RuntimeError, OSError) as error:
        return Answer(None, f"the association is gone ({type(error).__name__})")
    if "Status" not in status:
        return Answer(None, "the association was aborted or timed out")
    return Answer(int(status.Status), str(status.get("ErrorComment", "")))


def read_kind(path: Path) -> tuple[str, str]:
    """(SOP Class UID, Transfer Syntax UID) of a Part 10 file."""
    meta = read_file_meta_info(path)
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def _send_at_once(event: evt.Event) -> None:
    """Nagle's algorithm against a receiver's delayed acknowledgement costs 40 ms an image."""
    link: Any = event.assoc.dul.socket
    link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
