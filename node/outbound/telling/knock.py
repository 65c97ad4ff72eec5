"""Is a receiver there? A connection, TLS included; of a FHIR server its CapabilityStatement. Nothing is told."""

import httpx

from node.errors import PeerUnreachable
from node.outbound.telling.mllp import open_mllp_line
from node.sections import MessageKind, Receiver
from node.security.web_client import make_web_client


def knock(receiver: Receiver, answer_wait: float) -> str:
    """What was seen, as a sentence. Raises PeerUnreachable."""
    if receiver.kind == MessageKind.HL7:
        with open_mllp_line(receiver, answer_wait):
            return f"{receiver.address} takes connections{' by TLS' if receiver.tls else ''}"
    with make_web_client(receiver.web, answer_wait) as client:
        try:
            answer = client.get(f"{receiver.address.rstrip('/')}/metadata", headers={"Accept": "application/fhir+json"})
        except httpx.HTTPError as error:
            raise PeerUnreachable(f"{receiver.address}: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise PeerUnreachable(f"{receiver.address}/metadata answers HTTP {answer.status_code}")
    return f"{receiver.address} answers"
