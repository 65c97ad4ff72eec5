"""What the command line shows of the configuration, and the jobs that people name."""

import io

import pytest
from rich.console import Console

from node import cli
from node.config import Settings
from node.errors import UnknownJob
from node.ledger import SqlLedger
from node.oversight.overview import Row
from node.tables import MOST_NAMED, find_job, make_peers, make_rows
from tests.jobs import add_job

NAMES = ["lung-seg", "lung-nodule-ct-detection"]
TLS = {"certificate": "node.pem", "key": "node.key", "authorities": "ca.pem"}
PEERS = {
    "pacs": {"ae_title": "MAINPACS", "address": "pacs.test:11112", "send": True, "confirm": "commitment"},
    "mr1": {
        "ae_title": "MR1",
        "address": "mr1.test:104",
        "send": True,
        "networks": ["10.1.0.0/16", "10.2.0.7", "fd00::/8"],
        "tls_name": "mr1.test",
        "sop_classes": ["MRImageStorage", "1.2.840.10008.5.1.4.1.1.66.7"],
        "transfer_syntaxes": ["1.2.840.10008.1.2.4.80"],
    },
    "archive": {"ae_title": "[red]ARCHIVE", "address": "archive.test:104"},
}


def show(settings, width=80):
    page = io.StringIO()
    Console(file=page, width=width).print(make_peers(settings))
    return page.getvalue()


def read(text):
    """{title: {key: value}} of the paragraphs, lines that were folded put together."""
    peers, last = {}, ""
    for line in text.splitlines():
        if not line.startswith(" "):
            rows = peers.setdefault(line.strip(), {})
            continue
        key, value = line[1:18].strip(), line[19:].strip()
        last = key or last
        rows[last] = f"{rows[last]} {value}" if not key else value
    return peers


def test_a_peer_is_shown_with_what_the_configuration_leaves_out():
    pacs = read(show(Settings(peers=PEERS, listen={"tls": TLS})))["pacs: MAINPACS at pacs.test:11112"]
    assert pacs == {
        "may send": "yes",
        "calls from": "its address",
        "TLS name": "not asked for",
        "SOP classes": "all",
        "transfer syntaxes": "all",
        "confirms by": "commitment",
    }


def test_who_is_called_by_tls_is_shown_so():
    peers = {"pacs": PEERS["pacs"] | {"tls": {"authorities": "ca.pem"}}}
    assert "pacs: MAINPACS at pacs.test:11112 by TLS" in read(show(Settings(peers=peers)))


def test_uids_are_shown_by_name_and_hosts_without_a_mask():
    mr = read(show(Settings(peers=PEERS, listen={"tls": TLS})))["mr1: MR1 at mr1.test:104"]
    assert mr["calls from"] == "10.1.0.0/16, 10.2.0.7, fd00::/8"
    assert mr["TLS name"] == "mr1.test"
    assert mr["SOP classes"] == "MR Image Storage, Label Map Segmentation Storage"
    assert mr["transfer syntaxes"] == "JPEG-LS Lossless Image Compression"


def test_a_peer_that_may_not_send_and_a_title_with_brackets():
    archive = read(show(Settings(peers=PEERS, listen={"tls": TLS})))["archive: [red]ARCHIVE at archive.test:104"]
    assert archive["may send"] == "no"
    assert archive["confirms by"] == "none"


@pytest.mark.parametrize(
    ("callers", "sentence"),
    [("none", "refused"), ("loopback", "may send from this machine alone"), ("any", "may send, from anywhere")],
)
def test_the_last_line_says_what_others_may_do(callers, sentence):
    assert show(Settings(listen={"unknown_callers": callers})).splitlines() == [f"others ({callers}): {sentence}"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_peers_fit_the_terminal(width):
    assert max(map(len, show(Settings(peers=PEERS, listen={"tls": TLS}), width).splitlines())) <= width


def test_config_peers_prints_them(tmp_path, capsys, monkeypatch):
    path = tmp_path / "wetread.toml"
    path.write_text('[peers.ct]\nae_title = "CT1"\naddress = "ct1.test:104"\nsend = true\n')
    monkeypatch.setenv("WETREAD_CONFIG", "")
    monkeypatch.setattr(cli, "out", Console(width=80))
    cli.app(["config", "peers", "--config", str(path)], standalone_mode=False)
    assert "ct: CT1 at ct1.test:104" in capsys.readouterr().out


def test_long_names_of_pipelines_keep_their_distance_from_the_job():
    rows = [Row("QUEUED", name, "1.2.3", f"{n}abc" * 8, "2024-01-02T03:04:05", "", 0.0) for n, name in enumerate(NAMES)]
    page = io.StringIO()
    Console(file=page, width=120).print(make_rows(rows))
    lines = [line for line in page.getvalue().splitlines() if line.startswith(("State", "QUEUED"))]
    assert [line.split()[1] for line in lines] == ["Pipeline", *NAMES]
    assert len({line.index(line.split()[2]) for line in lines}) == 1


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    for number in range(MOST_NAMED + 5):
        add_job(ledger, id=f"ab{number:030x}", study_uid=f"1.2.{number}")
    yield ledger
    ledger.close()


def test_a_job_is_found_by_how_its_id_begins_or_by_its_study(ledger):
    one = f"ab{7:030x}"
    assert find_job(ledger, one).id == find_job(ledger, one[:32]).id == find_job(ledger, "1.2.7").id == one
    assert find_job(ledger, f"ab{MOST_NAMED + 4:030x}"[:31] + "8").study_uid == f"1.2.{MOST_NAMED + 4}"


@pytest.mark.parametrize(
    ("beginning", "count"),
    [("", "0"), ("ac", "0"), ("1.2", "0"), (f"ab{7:030x}"[:-1], "16"), ("ab", f"{MOST_NAMED} or more")],
)
def test_a_beginning_of_none_or_of_several_names_no_job(ledger, beginning, count):
    with pytest.raises(UnknownJob, match=f"^{count} jobs begin with '{beginning}'"):
        find_job(ledger, beginning)
