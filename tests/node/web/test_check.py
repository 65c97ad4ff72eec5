"""The checker passes a server that is right, and names what is wrong with one that is not."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.demo.sample import make_sample
from node.errors import PeerUnreachable
from node.web.check.line import Line
from node.web.check.server import check_server
from tests.node.web.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("checked")) as running:
        yield running


@pytest.fixture(scope="module")
def sample():
    return make_sample(2)


class Yes(BaseHTTPRequestHandler):
    """A server that says 200 and an empty page to everything."""

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815  the library's name

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def yes():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_this_node_is_as_the_standard_says(service, sample):
    findings = list(check_server(Line(service.url + "/dicom-web"), sample))
    assert not [finding for finding in findings if finding.ok is False]
    assert len([finding for finding in findings if finding.ok]) > 60
    assert {"10.4", "10.5", "10.6"} <= {".".join(finding.clause.split(".")[:2]) for finding in findings}


def test_without_files_nothing_is_stored(service):
    before = service.kept()
    findings = list(check_server(Line(service.url + "/dicom-web")))
    assert service.kept() == before
    assert any(finding.clause == "10.5" and finding.ok is None for finding in findings)


def test_a_server_that_says_yes_to_everything_is_found_out(yes, sample):
    wrong = {finding.asked for finding in check_server(Line(yes), sample) if finding.ok is False}
    assert {
        "store of text",
        "store into another study than its own",
        "what the receipt says of an instance",
        "a limit that is no number",
        "a study that is not there",
    } <= wrong


def test_a_server_that_is_not_there_is_an_error():
    with pytest.raises(PeerUnreachable):
        list(check_server(Line("http://127.0.0.1:9")))


def test_the_command_says_it_by_its_exit_code_and_in_json(service, yes):
    right = CliRunner().invoke(app, ["check-dicomweb", service.url + "/dicom-web", "--json"])
    assert right.exit_code == 0
    assert {"clause", "asked", "expected", "got", "ok"} == set(json.loads(right.output)[0])
    wrong = CliRunner().invoke(app, ["check-dicomweb", yes])
    assert wrong.exit_code == 1
    assert "not as PS3.18 says" in wrong.output
