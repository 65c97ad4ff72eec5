"""Who may come in, and what the door answers, asked by a real association."""

from pathlib import Path

import pytest
from pydicom.uid import JPEGLSLossless
from pynetdicom import AE

from node import wiring
from node.config import load_settings
from node.errors import PeerUnreachable
from node.ledger import SqlLedger
from node.outbound.echo import echo
from node.outbound.reactor import hold_reactor
from node.outbound.send import send_files
from tests.ports import free_port
from tests.series import make_series, write_series
from tests.waiting import wait_until

TOML = """
[node]
listen = "127.0.0.1:{port}"
home = "home"
[listen]
unknown_callers = "{unknown}"
[peers.scanner]
ae_title = "SCANNER"
address = "127.0.0.1:1"
send = true
[peers.archive]
ae_title = "ARCHIVE"
address = "127.0.0.1:2"
"""


@pytest.fixture
def open_door(tmp_path):
    listeners = []

    def start(unknown="none"):
        port = free_port()
        path = tmp_path / "wetread.toml"
        path.write_text(TOML.format(port=port, unknown=unknown))
        settings = load_settings(path, {})
        listener = wiring.make_listener(settings)
        listener.start()
        listeners.append(listener)
        return ("127.0.0.1", port), SqlLedger(settings.ledger_url), settings

    yield start
    for listener in listeners:
        listener.stop()


def send(paths, caller, address):
    return send_files(paths, caller, address, "WETREAD", lambda *_: None)


def test_a_peer_may_send_and_a_stranger_may_not_even_associate(open_door, tmp_path):
    address, ledger, _ = open_door()
    paths = write_series(make_series((2, 4, 4)), tmp_path / "in")
    assert send(paths, "SCANNER", address).taken == 2
    ((caller, *_),) = wait_until(lambda: ledger.find_associations("1.2.3.1"))
    assert caller == "SCANNER"
    with pytest.raises(PeerUnreachable, match=r"[Cc]alling AE title not recogni"):
        send(paths, "STRANGER", address)


def test_a_peer_that_may_not_send_may_still_ask_whether_we_are_there(open_door, tmp_path):
    address, ledger, _ = open_door()
    echo("ARCHIVE", address, "WETREAD")
    paths = write_series(make_series((1, 4, 4)), tmp_path / "in")
    assert send(paths, "ARCHIVE", address).taken == 0
    assert ledger.find_instances("1.2.3.1") == []


def test_our_own_title_may_echo_but_is_no_way_in(open_door, tmp_path):
    address, ledger, _ = open_door()
    echo("WETREAD", address, "WETREAD")
    assert send(write_series(make_series((1, 4, 4)), tmp_path / "in"), "WETREAD", address).taken == 0
    assert ledger.find_instances("1.2.3.1") == []


def test_the_called_title_must_be_ours(open_door):
    address, _, _ = open_door("loopback")
    with pytest.raises(PeerUnreachable, match=r"[Cc]alled AE title not recogni"):
        echo("SCANNER", address, "SOMEBODY")


def test_by_default_anybody_on_this_machine_may_send(open_door, tmp_path):
    address, _, _ = open_door("loopback")
    assert send(write_series(make_series((1, 4, 4)), tmp_path / "in"), "STORESCU", address).taken == 1


def test_every_byte_is_kept_as_it_was_sent_in_every_syntax(open_door, tmp_path):
    address, ledger, settings = open_door()
    (image,) = make_series((1, 16, 16))
    image.compress(JPEGLSLossless)
    (path,) = write_series([image], tmp_path / "in")
    assert send([path], "SCANNER", address).taken == 1
    instance = wait_until(lambda: ledger.find_instance(image.SOPInstanceUID))
    assert instance.transfer_syntax_uid == JPEGLSLossless
    kept = (Path(settings.spool) / instance.path).read_bytes()
    sent = path.read_bytes()
    body = sent[sent.index(b"\x08\x00\x05\x00CS") :]
    assert kept.endswith(body)
    assert kept[:132] == b"\0" * 128 + b"DICM"


def test_an_association_that_breaks_off_is_remembered_as_broken(open_door, tmp_path):
    address, ledger, _ = open_door()
    (image,) = make_series((1, 4, 4))
    entity = AE("SCANNER")
    entity.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = entity.associate(*address, ae_title="WETREAD")
    with hold_reactor(association):
        assert association.send_c_store(image).Status == 0x0000
    association.abort()
    assert wait_until(lambda: [how for *_, ended, how in ledger.find_associations("1.2.3.1") if ended]) == ["aborted"]


def test_the_log_says_who_brought_how_much_and_which_titles_did_not_fit(open_door, tmp_path, caplog):
    address, _, _ = open_door()
    paths = write_series(make_series((3, 4, 4)), tmp_path / "in")
    with caplog.at_level("INFO", "node"):
        assert send(paths, "SCANNER", address).taken == 3
        wait_until(lambda: "3 images taken" in caplog.text)
        with pytest.raises(PeerUnreachable):
            echo("SCANNER", address, "WRONG")
        wait_until(lambda: "WRONG" in caplog.text)
    assert "association from 'SCANNER' at 127.0.0.1 released: 3 images taken" in caplog.text
    assert "'SCANNER' called AE 'WRONG', which is not ours ('WETREAD')" in caplog.text


def test_the_log_warns_of_images_that_were_refused_and_says_why(open_door, tmp_path, caplog):
    address, _, _ = open_door()
    series = make_series((3, 4, 4))
    with caplog.at_level("INFO", "node"):
        send(write_series(series, tmp_path / "in"), "SCANNER", address)
        series[0].PixelData = bytes(len(series[0].PixelData))
        send(write_series(series, tmp_path / "other"), "SCANNER", address)
        wait_until(lambda: "1 refused" in caplog.text)
    (line,) = [record for record in caplog.records if "1 refused" in record.getMessage()]
    assert line.levelname == "WARNING"
    assert "2 images taken, 1 refused, the last one because 0xc000" in line.getMessage()
