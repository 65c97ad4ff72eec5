"""Peers that are called by TLS: what goes to them is enciphered, and they are who they should be."""

import ssl
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import dcmread
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import Verification

from node.errors import PeerUnreachable
from node.outbound.echo import echo_peer
from node.outbound.store import associate_peer, store_file
from node.sections import Peer
from tests.certificates import make_certificates
from tests.ports import free_port
from tests.series import make_series, write_series
from tests.waiting import wait_until

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    make_certificates(folder)
    return folder


@pytest.fixture
def path(tmp_path):
    voxels = np.random.default_rng(3).integers(0, 4000, (3, 165, 167)).astype(np.int16)
    return write_series(make_series(voxels.shape, voxels=voxels), tmp_path)[0]


@contextmanager
def archive(context):
    """(its port, the data sets that it was sent)."""
    taken = []

    def take(event):
        taken.append(event.request.DataSet.getvalue())
        return 0x0000

    entity = AE("PACS")
    entity.add_supported_context(CT, EXPLICIT)
    entity.add_supported_context(Verification)
    handlers = [(evt.EVT_C_STORE, take)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context)
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()


def make_context(papers, asks_for=""):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "ours.pem", papers / "ours.key")
    if asks_for:
        context.load_verify_locations(papers / f"{asks_for}.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def make_peer(port, papers, trusts="ours", **tls):
    return Peer(ae_title="PACS", address=f"127.0.0.1:{port}", tls={"authorities": papers / f"{trusts}.pem", **tls})


def store(peer, path):
    with associate_peer("WETREAD", peer, [build_context(CT, EXPLICIT)]) as association:
        return store_file(association, path)


def read_data_set(path):
    """The bytes after the file meta information, found by its group length (PS3.10 7.1)."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_what_is_sent_arrives_as_it_is(papers, path):
    with archive(make_context(papers)) as (port, taken):
        assert store(make_peer(port, papers), path).is_success
        echo_peer("WETREAD", make_peer(port, papers))
    assert taken == [read_data_set(path)]


def test_a_certificate_that_a_stranger_signed_is_not_trusted_and_nothing_is_sent(papers, path):
    refusal = pytest.raises(PeerUnreachable, match=r"PACS at 127\.0\.0\.1:\d+: its certificate is not trusted")
    with archive(make_context(papers)) as (port, taken), refusal:
        store(make_peer(port, papers, trusts="stranger"), path)
    assert taken == []


def test_a_certificate_of_another_name_is_not_trusted(papers):
    refusal = pytest.raises(PeerUnreachable, match=r"not trusted: Hostname mismatch.*pacs\.hospital\.test")
    with archive(make_context(papers)) as (port, _), refusal:
        echo_peer("WETREAD", make_peer(port, papers, name="pacs.hospital.test"))


def test_the_name_may_be_another_than_the_host_of_the_address(tmp_path):
    make_certificates(tmp_path, "DNS:pacs.hospital.test")
    with archive(make_context(tmp_path)) as (port, _):
        echo_peer("WETREAD", make_peer(port, tmp_path, name="pacs.hospital.test"))


def test_one_that_asks_for_our_certificate_is_shown_it(papers, path):
    ours = {"certificate": papers / "stranger.pem", "key": papers / "stranger.key"}
    with archive(make_context(papers, asks_for="stranger")) as (port, taken):
        assert store(make_peer(port, papers, **ours), path).is_success
        with pytest.raises(PeerUnreachable):
            store(make_peer(port, papers), path)
    assert len(taken) == 1


def test_one_that_speaks_without_tls_is_told_apart_from_one_that_is_away(papers):
    with archive(None) as (port, _), pytest.raises(PeerUnreachable, match=r"no TLS with it"):
        echo_peer("WETREAD", make_peer(port, papers))
    with pytest.raises(PeerUnreachable, match=r"does not answer"):
        echo_peer("WETREAD", make_peer(free_port(), papers))


def test_papers_that_are_not_there_are_named(papers):
    with pytest.raises(PeerUnreachable, match=r"tls\.authorities"):
        echo_peer("WETREAD", make_peer(1, papers, trusts="nobody"))


def test_tls_is_of_an_address():
    with pytest.raises(ValidationError, match="tls goes with address"):
        Peer(dicomweb="https://pacs.hospital.test/dicom-web", tls={})


@pytest.mark.judge
def test_dcmtk_takes_it(papers, path, tmp_path):
    port, store_folder = free_port(), tmp_path / "taken"
    store_folder.mkdir()
    command = ["storescp", "+tls", papers / "ours.key", papers / "ours.pem", "+cf", papers / "stranger.pem", "-rc",
               "+B", "-od", store_folder, str(port)]  # fmt: skip
    ours = {"certificate": papers / "stranger.pem", "key": papers / "stranger.key"}
    process = subprocess.Popen(command)
    try:
        assert wait_until(lambda: is_up(make_peer(port, papers, **ours)))
        assert store(make_peer(port, papers, **ours), path).is_success
    finally:
        process.kill()
        process.wait()
    (taken,) = store_folder.iterdir()
    assert dcmread(taken).PixelData == dcmread(path).PixelData


def is_up(peer):
    try:
        echo_peer("WETREAD", peer)
    except PeerUnreachable:
        return False
    return True
