"""What `wetread doctor` calls ill is something to be mended."""

from itertools import islice

from node import wiring
from node.config import load_settings
from node.doctor import examine
from tests.ports import free_port

MOST = 8
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


def test_it_says_which_configuration_was_read_and_which_file_lacks(tmp_path, monkeypatch):
    path = tmp_path / "wetread.toml"
    monkeypatch.setenv("WETREAD_CONFIG", str(path))
    check = look(tmp_path)["configuration"]
    assert (check.well, check.seen) == (True, str(path))
    check = look(tmp_path, '[web]\ncert = "no.pem"\nkey = "no.pem"\n')["configuration"]
    assert not check.well
    assert "web.cert = '" in check.seen
