"""What `wetread doctor` calls ill is something to be mended."""

from itertools import islice

from node import wiring
from node.config import load_settings
from node.doctor import examine
from node.inbound.side_door import SideDoor
from node.oversight.health import find_troubles
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
