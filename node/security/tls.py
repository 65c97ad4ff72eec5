"""TLS at our own door: 1.2 or later, authenticated encryption with forward secrecy alone (PS3.15 B.12, BCP 195)."""

import ssl
from typing import Any

from node.errors import ConfigError
from node.sections import Hl7Tls, Tls


def make_server_context(tls: Tls | Hl7Tls, section: str = "listen.tls") -> ssl.SSLContext:
    """The certificate of the door that `section` speaks of, and whose certificates callers must show. Raises
    ConfigError naming the key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM")
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{section}.certificate {tls.certificate}, {section}.key {tls.key}: {error}") from error
    if tls.authorities is not None:
        try:
            context.load_verify_locations(tls.authorities)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{section}.authorities {tls.authorities}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def find_names(connection: ssl.SSLSocket) -> frozenset[str]:
    """Common name and DNS names of the certificate that the caller showed; none when it showed none."""
    certificate: dict[str, Any] = connection.getpeercert() or {}
    names = {str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    for part in certificate.get("subject", ()):
        names |= {str(value) for key, value in part if key == "commonName"}
    return frozenset(names)
