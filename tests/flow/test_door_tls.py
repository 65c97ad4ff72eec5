"""The TLS door (PS3.15 B.9): slow handshakes block nobody, and a peer with a name shows it."""

import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest

from tests.flow.door import Door, Watch, make_images
from tests.flow.wire import ECHO, EXPLICIT, IMPLICIT, USUAL, Closed, Rejected, Wire
from tests.ports import free_port

SLOW = 200
MORE = """
[listen.tls]
address = "127.0.0.1:{port}"
certificate = "{pki}/door.pem"
key = "{pki}/door.key"
{authorities}
[peers.test]
ae_title = "TEST"
address = "127.0.0.1:2"
send = true
"""
NAMED = """
[peers.named]
ae_title = "NAMED"
address = "127.0.0.1:1"
tls_name = "scanner.test"
send = true
"""
CALLING_UNKNOWN = (1, 1, 3)


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """An authority, and certificates signed by it: door, scanner.test (by DNS name), cn.test, other.test."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificates can be made")
    folder = tmp_path_factory.mktemp("pki")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for authority in ("authority", "stranger"):
        run("openssl", "req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem",
            "-subj", f"/CN={authority}", cwd=folder)  # fmt: skip
    for name, common, alternative, signer in (
        ("door", "door", "DNS:localhost,IP:127.0.0.1", "authority"),
        ("scanner", "irrelevant", "DNS:scanner.test", "authority"),
        ("common", "scanner.test", "", "authority"),
        ("other", "other.test", "DNS:other.test", "authority"),
        ("forged", "scanner.test", "DNS:scanner.test", "stranger"),
    ):
        extension = ("-addext", f"subjectAltName={alternative}") if alternative else ()
        run("openssl", "req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common}",
            *extension, cwd=folder)  # fmt: skip
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key",
            "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", f"{name}.pem", cwd=folder)  # fmt: skip
    return folder


def make_context(pki, name=""):
    """A client that trusts the authority and shows the certificate `name`, if any."""
    context = ssl.create_default_context(cafile=str(pki / "authority.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    return context


class TlsDoor(Door):
    """A door with a second one that speaks TLS."""

    def __init__(self, folder, pki, authorities=True):
        self.tls_address, self.pki = ("127.0.0.1", free_port()), pki
        line = f'authorities = "{pki}/authority.pem"' if authorities else ""
        more = MORE.format(port=self.tls_address[1], pki=pki, authorities=line)
        more += NAMED if authorities else ""
        super().__init__(folder, 'unknown_callers = "none"\nhandshake_timeout = "PT3S"', more)

    def ask(self, certificate, calling):
        """Accepted contexts by TLS with that certificate; the rejection; or "no handshake"."""
        try:
            with Wire(self.tls_address, tls=make_context(self.pki, certificate)) as wire:
                wire.associate(USUAL, calling=calling)
                accepted = wire.accepted
                wire.release()
                return accepted
        except Rejected as refusal:
            return refusal.answer
        except (Closed, ssl.SSLError, ConnectionError):
            return "no handshake"

    def echo_by_tls(self, certificate="other"):
        start = time.monotonic()
        with Wire(self.tls_address, tls=make_context(self.pki, certificate)) as wire:
            assert wire.associate(ECHO).echo(1) == 0x0000
            wire.release()
        return time.monotonic() - start


@pytest.fixture(scope="module")
def door(tmp_path_factory, pki):
    with TlsDoor(tmp_path_factory.mktemp("door"), pki) as door:
        yield door


def test_with_authorities_no_certificate_is_no_way_in(door):
    assert door.ask("", "TEST") == "no handshake"
    assert door.ask("forged", "TEST") == "no handshake"
    assert door.ask("other", "TEST") == {1: EXPLICIT, 3: IMPLICIT}


@pytest.mark.parametrize("certificate", ["scanner", "common"])
def test_a_peer_with_a_name_comes_in_by_a_certificate_of_that_name(door, certificate):
    assert door.ask(certificate, "NAMED") == {1: EXPLICIT, 3: IMPLICIT}


def test_a_peer_with_a_name_is_refused_by_another_certificate_and_without_tls(door):
    assert door.ask("other", "NAMED") == CALLING_UNKNOWN
    with door.wire() as wire, pytest.raises(Rejected) as refusal:
        wire.associate(calling="NAMED")
    assert refusal.value.answer == CALLING_UNKNOWN


def test_without_authorities_tls_is_for_everybody(tmp_path, pki):
    with TlsDoor(tmp_path, pki, authorities=False) as door:
        assert door.ask("", "TEST") == {1: EXPLICIT, 3: IMPLICIT}


def test_a_name_that_no_authority_vouches_for_is_a_wrong_configuration(tmp_path, pki):
    door = TlsDoor(tmp_path, pki)
    door.config.write_text("".join(line for line in door.config.open() if not line.startswith("authorities")))
    command = [sys.executable, "-m", "node.cli", "listen", "--config", door.config]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert "peers.named.tls_name" in refused.stderr


def test_images_come_by_tls_as_they_were_sent(door):
    images = dict(make_images(20, side=256, seed=30))
    with Wire(door.tls_address, tls=make_context(door.pki, "scanner")) as wire:
        wire.associate(calling="NAMED")
        assert {wire.store(*image) for image in images.items()} == {0x0000}
        wire.release()
    for uid, dataset in images.items():
        door.expect_row(uid, dataset)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_the_old_versions_of_tls_are_refused(door):
    context = make_context(door.pki, "other")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        Wire(door.tls_address, tls=context)


def make_hello():
    """The first bytes of a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="door.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_slow_handshakes_block_nobody_and_are_given_up(door):
    hello = make_hello()
    links = []
    door.echo_by_tls()
    try:
        with door.watch() as plain, Watch(door, door.echo_by_tls) as secure:
            for _ in range(SLOW):
                links.append(socket.create_connection(door.tls_address, 10))
                links[-1].send(hello[: len(hello) // 2])
            start = time.monotonic()
            for link in links:
                link.settimeout(10)
                assert receive(link) == b""
            assert 1.0 < time.monotonic() - start < 8.0
        plain.expect_calm()
        secure.expect_calm()
    finally:
        for link in links:
            link.close()


def test_connections_that_are_reset_before_the_handshake_are_no_news(door):
    with Watch(door, door.echo_by_tls) as watch:
        for _ in range(300):
            with socket.create_connection(door.tls_address, 10) as link:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    watch.expect_calm()
    door.expect_clean_log()


def receive(link):
    """The end of the connection, an alert before it or not."""
    try:
        while link.recv(4096):
            pass
    except ConnectionError:
        pass
    return b""
