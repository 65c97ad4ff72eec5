"""TLS at our own doors, and where we call: 1.2 or later, at our doors authenticated encryption with forward secrecy
alone (PS3.15 B.12, BCP 195)."""

import socket
import ssl
from pathlib import Path
from typing import Any

from node.errors import ConfigError, PeerUnreachable
from node.sections import ClientTls, Hl7Tls, Tls, WebAccess


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


def make_client_context(tls: ClientTls | WebAccess, section: str = "tls") -> ssl.SSLContext:
    """The certificate of who is called is checked, and its name. section: where `tls` stands under the peer. Raises
    PeerUnreachable naming the keys."""
    try:
        context = ssl.create_default_context(cafile=tls.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        keys = f"{section}.authorities, {section}.certificate or {section}.key"
        raise PeerUnreachable(f"{keys}: {type(error).__name__}") from None
    return context


def find_fault(address: tuple[str, int], context: ssl.SSLContext, name: str, patience: float) -> str:
    """Why there is no TLS with `address`, whose certificate is to have `name`; "" where there is, or nobody answers
    within `patience` seconds. One that does not take our certificate may say so only later (RFC 8446 4.4.2)."""
    try:
        with socket.create_connection(address, patience) as connection:
            context.wrap_socket(connection, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"no TLS with it: {error.reason or type(error).__name__}"
    except OSError:
        return ""
    return ""


def find_end(address: tuple[str, int], certificate: Path, patience: float) -> float:
    """When (seconds since 1970) the certificate ends that is shown at `address`, a door of ours that shows
    `certificate`. Raises PeerUnreachable with what keeps callers out: nobody there, no TLS, another certificate, one
    that has ended. Whether we might come in, with a certificate of our own, is not asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted, whoever signed it
    try:
        context.load_verify_locations(certificate)
        with (
            socket.create_connection(address, patience) as connection,
            context.wrap_socket(connection) as shown,
        ):
            return float(ssl.cert_time_to_seconds(str((shown.getpeercert() or {})["notAfter"])))
    except ssl.SSLCertVerificationError as error:
        raise PeerUnreachable(f"shows a certificate that is not well: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise PeerUnreachable(f"no TLS with it: {error.reason or type(error).__name__}") from None
    except OSError as error:
        raise PeerUnreachable(f"does not answer ({error.strerror or type(error).__name__})") from None


def find_names(connection: ssl.SSLSocket) -> frozenset[str]:
    """Common name and DNS names of the certificate that the caller showed; none when it showed none."""
    certificate: dict[str, Any] = connection.getpeercert() or {}
    names = {str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    for part in certificate.get("subject", ()):
        names |= {str(value) for key, value in part if key == "commonName"}
    return frozenset(names)
