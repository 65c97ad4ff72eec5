"""What `wetread doctor` calls ill is something to be mended."""

import shutil
import socket
import ssl
import threading
from contextlib import contextmanager
from itertools import islice

import pytest

from node import wiring
from node.config import load_settings
from node.doctor import examine
from node.inbound.side_door import SideDoor
from node.oversight.health import find_troubles
from node.sections import Tls
from node.security.tls import make_server_context
from tests.certificates import make_certificates
from tests.ports import free_port
from tests.series import make_series

MOST = 10
"""Checks before those of the workers' side, which load torch."""

TOML = """
[node]
listen = "127.0.0.1:{door}"
[peers.scanner]
ae_title = "MR1"
address = "127.0.0.1:{away}"
send = true
[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:{away}"
[[routes]]
name = "chest CT"
pipeline = "lung-seg"
deliver = ["pacs"]
{more}
"""


def look(tmp_path, more=""):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML.format(door=free_port(), away=free_port(), more=more))
    settings = load_settings(path, {})
    checks = examine(settings, wiring.open_ledger(settings))
    return {check.what: check for check in islice(checks, MOST)}


def test_a_scanner_that_nobody_calls_need_not_answer_and_a_destination_must(tmp_path):
    checks = look(tmp_path)
    assert checks["peer scanner"].well
    assert "it only sends" in checks["peer scanner"].seen
    assert not checks["peer pacs"].well


def test_a_scanner_that_is_asked_for_priors_must_answer(tmp_path):
    more = 'gather = { from = ["scanner"], priors = 1 }'
    path = tmp_path / "wetread.toml"
    toml = TOML.replace('ae_title = "MR1"', 'ae_title = "MR1"\nquery = true')
    path.write_text(toml.format(door=free_port(), away=free_port(), more=more))
    settings = load_settings(path, {})
    checks = examine(settings, wiring.open_ledger(settings))
    assert not next(check for check in checks if check.what == "peer scanner").well


def test_a_disk_on_which_the_door_takes_nothing_is_ill_and_the_node_is_not_ready(tmp_path):
    assert look(tmp_path)["disk"].well
    disk = look(tmp_path, "[listen]\nmin_free_mb = 1000000000000\n")["disk"]
    assert not disk.well
    assert "images are refused" in disk.seen
    settings = load_settings(tmp_path / "wetread.toml", {})
    assert disk.seen.split(":")[0] in " ".join(find_troubles(settings, wiring.open_ledger(settings)))


def test_a_ledger_without_its_spool_is_ill(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML.format(door=free_port(), away=free_port(), more="[listen]\nmin_free_mb = 0\n"))
    settings = load_settings(path, {})
    ledger = wiring.open_ledger(settings)
    door = SideDoor(wiring.open_spool(settings), ledger, 100)
    door.start()
    with door.open("CT1", "1.2.3") as take:
        for one in make_series((2, 4, 4), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1"):
            one.save_as(tmp_path / "one.dcm", enforce_file_format=True)
            take([(tmp_path / "one.dcm").read_bytes()])
    door.stop()
    checks = {check.what: check for check in islice(examine(settings, ledger), 6)}
    assert checks["spool"].well
    assert checks["spool"].seen == "has all 2 images of the newest 1 studies"
    next(file for file in settings.spool.glob("kept/**/*") if file.is_file()).unlink()
    checks = {check.what: check for check in islice(examine(settings, ledger), 6)}
    assert not checks["spool"].well
    assert "1 of 2 images" in checks["spool"].seen


def test_it_says_which_configuration_was_read_and_which_file_lacks(tmp_path, monkeypatch):
    path = tmp_path / "wetread.toml"
    monkeypatch.setenv("WETREAD_CONFIG", str(path))
    check = look(tmp_path)["configuration"]
    assert (check.well, check.seen) == (True, str(path))
    check = look(tmp_path, '[web]\ncert = "no.pem"\nkey = "no.pem"\n')["configuration"]
    assert not check.well
    assert "web.cert = '" in check.seen


@contextmanager
def showing(certificate, key, authorities=None):
    """A door by TLS that shows `certificate`; its port."""
    context = make_server_context(Tls(certificate=certificate, key=key, authorities=authorities))
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve():
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except (ssl.SSLError, OSError):
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def look_at_tls(tmp_path, port):
    files = f'certificate = "{tmp_path}/ours.pem"\nkey = "{tmp_path}/ours.key"'
    more = (
        f'[listen.tls]\naddress = "127.0.0.1:{port}"\n{files}\n[hl7]\nlisten = "127.0.0.1:{port}"\n[hl7.tls]\n{files}'
    )
    return look(tmp_path, more)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no certificates can be made")
@pytest.mark.parametrize(
    ("days", "shown", "well", "said"),
    [
        (90, "ours", True, "which ends in 90 days"),
        (5, "ours", False, "which ends in 5 days"),
        (90, "stranger", False, "shows a certificate that is not well: "),
        (90, "", False, "no TLS with it: "),
        (90, None, False, "does not answer (Connection refused)"),
    ],
    ids=["well", "ends soon", "another", "plain", "nobody"],
)
def test_the_doors_by_tls_show_the_certificate_that_they_have_for_long_enough(tmp_path, days, shown, well, said):
    make_certificates(tmp_path, days=days)
    if shown is None:
        checks = look_at_tls(tmp_path, free_port())
    elif not shown:
        with socket.create_server(("127.0.0.1", 0)) as plain:
            answer = threading.Thread(
                target=lambda: [plain.accept()[0].sendall(b"what?\n") for _ in range(2)], daemon=True
            )
            answer.start()
            checks = look_at_tls(tmp_path, plain.getsockname()[1])
    else:
        authorities = tmp_path / "ours.pem"  # doctor has no certificate to show, and need not
        with showing(tmp_path / f"{shown}.pem", tmp_path / f"{shown}.key", authorities) as port:
            checks = look_at_tls(tmp_path, port)
    for what in ("door by TLS", "door of orders by TLS"):
        assert (checks[what].well, said in checks[what].seen) == (well, True), checks[what]


def test_a_node_without_tls_is_not_asked_for_it(tmp_path):
    assert not [what for what in look(tmp_path) if "TLS" in what]
