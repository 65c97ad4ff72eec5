"""The viewer on a port of its own: fetched when asked for, byte for byte the one we know, read-only, guarded."""

import base64
import gzip
import hashlib
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest
import uvicorn
from starlette.testclient import TestClient
from typer.testing import CliRunner

import node.web.viewer.install as installing
from node.cli import app
from node.config import Settings
from node.dicom.identity import read_identity
from node.errors import ViewerRefused
from node.model.role import Role
from node.web.access import hashes
from node.web.access.users import UserFile
from node.web.app import make_web
from node.web.server import configure_server
from node.web.viewer import fetch
from node.web.viewer.install import find_viewer, install, remove
from node.web.viewer.package import VERSION, find_address, find_wanted
from tests.node.web.results_house import House, make_answer, make_ball, make_images
from tests.node.web.service import Service, make_body
from tests.ports import free_port
from tests.series import make_series
from tests.waiting import wait_until

BUNDLE = "app.bundle.0123456789abcdef.js"
WASM = "5130ccb17e3f3f5b.wasm"
FILES = {
    "package/LICENSE": b"MIT",
    "package/package.json": b"{}",
    "package/dist/index.html": b"<html>",
    f"package/dist/{BUNDLE}": b"let viewer = 1;\n" * 1000,
    "package/dist/app.bundle.css": b"body {}",
    f"package/dist/{WASM}": b"\0asm" * 500,
    "package/dist/app-config.js": b"window.config = {elsewhere: 1};",
    "package/dist/init-service-worker.js": b"",
    "package/dist/9.bundle.0123456789abcdef.js.map": b"{}",
    "package/dist/ort/ort.min.js": b"large",
    "package/dist/dicom-microscopy-viewer/viewer.min.js": b"large",
    "package/dist/assets/favicon.ico": b"icon",
    "package/dist/assets/images/CT-Lung.png": b"png",
    "package/dist/assets/apple-touch-icon.png": b"png",
    "package/dist/../../outside.js": b"outside",
    "package/dist/assets/images/../../../../outside.js": b"outside",
}
KEPT = {"LICENSE", BUNDLE, "app.bundle.css", WASM, "assets/favicon.ico", "assets/images/CT-Lung.png"}
PASSWORD = "correct horse battery"
DEEP = "/viewer?StudyInstanceUIDs=1.2&initialSeriesInstanceUID=1.3"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """(path, integrity) of a package like npm's."""
    path = tmp_path_factory.mktemp("npm") / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path, "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


@contextmanager
def registry(content, status=200):
    """The address of a registry on loopback, and the paths that it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/npm/", asked
    server.shutdown()
    server.server_close()


def list_files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_lies_under_home_and_nothing_else(archive, tmp_path):
    assert find_viewer(tmp_path) is None
    folder = install(tmp_path, *archive)
    assert folder == find_viewer(tmp_path) == tmp_path / "viewer" / VERSION
    assert {name for name in list_files(folder) if not name.endswith(".gz")} == KEPT
    assert gzip.decompress((folder / f"{BUNDLE}.gz").read_bytes()) == (folder / BUNDLE).read_bytes()
    assert list((tmp_path / "viewer").iterdir()) == [folder]
    assert not list(tmp_path.rglob("outside.js")) + list(tmp_path.parent.glob("outside.js"))


def test_another_archive_is_refused_and_what_was_there_stays(archive, tmp_path):
    folder = install(tmp_path, *archive)
    with pytest.raises(ViewerRefused, match="sha512"):
        install(tmp_path, archive[0])  # it is not npm's
    assert list((tmp_path / "viewer").iterdir()) == [folder]
    assert (folder / BUNDLE).is_file()
    with pytest.raises(ViewerRefused, match="cannot be read"):
        install(tmp_path, tmp_path / "none.tgz")


def test_a_new_version_takes_the_place_of_an_old_one(archive, tmp_path):
    old = tmp_path / "viewer" / "3.0.0"
    old.mkdir(parents=True)
    install(tmp_path, *archive)
    install(tmp_path, *archive)
    assert not old.exists()
    assert find_viewer(tmp_path)
    assert remove(tmp_path)
    assert find_viewer(tmp_path) is None
    assert not remove(tmp_path)


def test_an_archive_without_the_program_is_refused(tmp_path):
    path = tmp_path / "empty.tgz"
    with tarfile.open(path, "w:gz"):
        pass
    said = "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    with pytest.raises(ViewerRefused, match=r"holds no app\.bundle"):
        install(tmp_path, path, said)
    assert find_viewer(tmp_path) is None


def test_it_comes_from_the_registry_that_npm_is_told(archive, tmp_path, monkeypatch):
    with registry(archive[0].read_bytes()) as (address, asked):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        assert find_viewer(tmp_path) is None
        install(tmp_path, integrity=archive[1])
    assert asked == [f"/npm/@ohif/app/-/app-{VERSION}.tgz"]
    assert find_viewer(tmp_path)


def test_what_a_registry_answers_instead_is_refused(tmp_path, monkeypatch):
    with registry(b"{}", 404) as (address, _):
        monkeypatch.setenv("npm_config_registry", address)
        with pytest.raises(ViewerRefused, match=r"status 404.*npm pack.*--from"):
            install(tmp_path)
    with registry(b"too much") as (address, _):
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setattr(fetch, "MOST_BYTES", 5)
        with pytest.raises(ViewerRefused, match="larger than"):
            install(tmp_path)
    with pytest.raises(ViewerRefused, match="was not to be had"):
        install(tmp_path)  # nobody is there any more
    assert not list((tmp_path / "viewer").iterdir())


def test_the_registry_is_found_where_npm_finds_it(tmp_path):
    mine = tmp_path / ".npmrc"
    mine.write_text('//a.test/:_authToken=secret\nregistry = "https://a.test/npm/"\n', "utf-8")
    tail = f"/@ohif/app/-/app-{VERSION}.tgz"
    assert find_address({"HOME": str(tmp_path)}) == f"https://a.test/npm{tail}"
    assert find_address({"HOME": str(tmp_path), "npm_config_registry": "https://b.test"}) == f"https://b.test{tail}"
    assert find_address({"NPM_CONFIG_USERCONFIG": str(mine)}) == f"https://a.test/npm{tail}"
    scoped = {"HOME": str(tmp_path), "npm_config_@ohif:registry": "https://c.test/"}
    assert find_address(scoped) == f"https://c.test{tail}"
    assert urlsplit(find_address({"HOME": "/nowhere"})).scheme == "https"


def test_a_name_that_leads_elsewhere_is_not_wanted():
    assert find_wanted("package/dist/9.bundle.js") == "9.bundle.js"
    assert not find_wanted("package/dist/../9.bundle.js")
    assert not find_wanted("package/dist/assets/images/../../../9.bundle.js")
    assert not find_wanted("package/dist//etc/images.js")
    assert not find_wanted("other/9.bundle.js")


def test_the_command_installs_and_removes(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("WETREAD_NODE__HOME", str(tmp_path))
    run = CliRunner().invoke
    refused = run(app, ["viewer", "install", "--from", str(archive[0])])
    assert isinstance(refused.exception, ViewerRefused)
    monkeypatch.setattr(installing, "check", lambda *_: None)
    done = run(app, ["viewer", "install", "--from", str(archive[0])])
    assert done.exit_code == 0, done.output
    assert "restart the web role" in done.output
    assert find_viewer(tmp_path)
    assert run(app, ["viewer", "remove"]).exit_code == 0
    assert find_viewer(tmp_path) is None


def test_the_viewer_and_the_pages_do_not_share_a_port():
    with pytest.raises(ValueError, match="viewer_port"):
        Settings.model_validate({"web": {"listen": "127.0.0.1:8044", "viewer_port": 8044}})


class Both(Service):
    """The web role with the viewer on its own port, `viewer`."""

    def __init__(self, home, **web):
        self.viewer = free_port()
        super().__init__(home, web={"viewer_port": self.viewer, **web})
        config = configure_server(self.settings, self._server.config.app, viewer=True)
        self._second = uvicorn.Server(config)
        self._side = threading.Thread(target=self._second.run, daemon=True)

    def __enter__(self):
        super().__enter__()
        self._side.start()
        assert wait_until(lambda: self._second.started)
        return self

    def __exit__(self, *_):
        self._second.should_exit = True
        self._side.join(10)
        super().__exit__()

    def look(self, path, method="GET", body=None, **headers):
        """(status, headers, body) at the viewer's port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.viewer, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        got = answer.status, answer.headers, answer.read()
        connection.close()
        return got


@pytest.fixture(scope="module")
def both(archive, tmp_path_factory):
    home = tmp_path_factory.mktemp("both")
    install(home, *archive)
    with Both(home, public_url="https://ai.hospital.test") as service:
        yield service


@pytest.fixture(scope="module")
def guarded(archive, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(hashes, "COST", 1 << 10)
    home = tmp_path_factory.mktemp("guarded")
    install(home, *archive)
    UserFile(home / "users.toml").add("reader", Role.VIEWER, PASSWORD)
    with Both(home) as service:
        yield service
    patch.undo()


@pytest.mark.parametrize("path", ["/", DEEP, "/segmentation?StudyInstanceUIDs=1.2"])
def test_every_page_of_the_viewer_is_the_same_program(both, path):
    status, headers, page = both.look(path)
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Cache-Control"] == "private, no-cache"
    assert f'src="/{BUNDLE}"'.encode() in page
    assert b"//" not in page.replace(b"<!doctype", b"")


def test_nothing_leads_to_another_host(both):
    for path in ("/", f"/{BUNDLE}", "/app-config.js", "/dicom-web/studies", "/missing.js"):
        policy = both.look(path)[1]["Content-Security-Policy"]
        assert not re.search(r"https?:|//|\*", policy)
        assert "default-src 'self'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    status, headers, script = both.look("/app-config.js")
    assert status == 200
    assert headers["Content-Type"].startswith("text/javascript")
    assert b"http" not in script.replace(b"httpErrorHandler", b"")
    settings = json.loads(re.search(rb"window\.config = (.*);\n", script).group(1))
    (source,) = settings["dataSources"]
    assert source["configuration"]["qidoRoot"] == source["configuration"]["wadoRoot"] == "/dicom-web"


def test_the_browser_may_share_memory_among_its_threads(both):
    for path in ("/", f"/{BUNDLE}", f"/{WASM}"):
        headers = both.look(path)[1]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_files_are_of_their_type_packed_and_kept_for_good(both):
    status, headers, body = both.look(f"/{BUNDLE}")
    assert (status, headers["Content-Type"]) == (200, "text/javascript")
    assert "Content-Encoding" not in headers
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert body == FILES[f"package/dist/{BUNDLE}"]
    status, headers, packed = both.look(f"/{BUNDLE}", Accept_Encoding="gzip, br")
    assert (headers["Content-Encoding"], headers["Content-Type"]) == ("gzip", "text/javascript")
    assert headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed) == body
    assert both.look(f"/{WASM}")[1]["Content-Type"] == "application/wasm"
    headers = both.look("/app.bundle.css")[1]
    assert headers["Cache-Control"] == "private, no-cache"
    assert both.look("/app.bundle.css", If_None_Match=headers["ETag"])[0] == 304
    assert both.look("/assets/images/CT-Lung.png")[2] == b"png"


@pytest.mark.parametrize("path", ["/sw.js", "/ort/ort.min.js", "/../users.toml", "/%2e%2e/users.toml", "/favicon.ico"])
def test_what_is_not_there_is_not_there(both, path):
    assert both.look(path)[0] == 404


def test_each_port_has_its_own_pages(both):
    assert both.ask("GET", "/app-config.js")[0] == 404
    assert b"Jobs" in both.ask("GET", "/")[2]
    for path in ("/", "/jobs", "/results/1", "/metrics", "/api/v1/jobs"):
        assert BUNDLE.encode() in both.look(path)[2]
    assert "Cross-Origin-Embedder-Policy" not in both.ask("GET", "/")[1]
    assert "unsafe-eval" not in both.ask("GET", "/")[1]["Content-Security-Policy"]


def test_images_are_read_from_the_origin_of_the_viewer_and_none_is_stored(both, tmp_path):
    images = make_series((1, 8, 8))
    buffer = io.BytesIO()
    images[0].save_as(buffer, enforce_file_format=True)
    head = {"Content_Type": 'multipart/related; type="application/dicom"; boundary="-=bound=-"'}
    assert both.look("/dicom-web/studies", "POST", make_body([buffer.getvalue()]), **head)[0] == 405
    assert both.store([buffer.getvalue()])[0] == 200
    study = images[0].StudyInstanceUID
    (found,) = json.loads(both.look(f"/dicom-web/studies?StudyInstanceUID={study}")[2])
    assert found["00081190"]["Value"][0].startswith(f"http://127.0.0.1:{both.viewer}/dicom-web/studies/")
    (said,) = json.loads(both.look(f"/dicom-web/studies/{study}/metadata")[2])
    assert said["7FE00010"]["BulkDataURI"].startswith(f"http://127.0.0.1:{both.viewer}/dicom-web/")
    (said,) = json.loads(both.ask("GET", f"/dicom-web/studies/{study}/metadata")[2])
    assert said["7FE00010"]["BulkDataURI"].startswith("https://ai.hospital.test/dicom-web/")


def test_without_users_another_host_name_is_refused(both):
    assert both.look("/", Host="evil.test")[0] == 403
    assert both.look("/dicom-web/studies", Host="evil.test")[0] == 403


def test_who_is_not_logged_in_logs_in_and_comes_where_the_link_led(guarded):
    for path in (f"/{BUNDLE}", "/app-config.js", "/dicom-web/studies", "/"):
        assert guarded.look(path)[0] == 401
    status, headers, _ = guarded.look(DEEP, Accept="text/html")
    assert status == 303
    following = parse_qs(urlsplit(headers["Location"]).query)["next"][0]
    assert following == DEEP
    assert unquote(headers["Location"]).startswith("/login?next=/viewer?")
    assert b"<form" in guarded.look(headers["Location"])[2]
    form = urlencode({"name": "reader", "password": PASSWORD, "next": following})
    kind = "application/x-www-form-urlencoded"
    status, headers, _ = guarded.look("/login", "POST", form, Content_Type=kind)
    assert (status, headers["Location"]) == (303, DEEP)
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert BUNDLE.encode() in guarded.look(DEEP, Cookie=cookie)[2]
    assert guarded.look("/dicom-web/studies", Cookie=cookie)[0] in (200, 204)


def test_a_page_of_the_viewer_is_another_site_to_our_pages(guarded):
    head = {"Origin": f"http://127.0.0.1:{guarded.viewer}"}
    assert guarded.ask("POST", "/login", "", head)[0] != 303
    assert guarded.ask("POST", "/dicom-web/studies", "", head)[0] in (401, 403)


def test_the_page_of_a_result_opens_what_was_found(archive, tmp_path):
    plain, mask = House(tmp_path), make_ball()
    job, (stack,) = plain.keep(make_images(mask))
    plain.finish(job, stack, make_answer(mask))
    assert "OHIF" not in plain.get(f"/results/{job.id}").text
    install(plain.settings.node.home, *archive)
    again = TestClient(make_web(plain.settings, plain.ledger, plain.spool), base_url="http://localhost:8042")
    page = again.get(f"/results/{job.id}").text
    links = dict(reversed(pair) for pair in re.findall(r'href="([^"]*/viewer\?[^"]*)"[^>]*>(\w+)<', page))
    assert set(links) == {"segmentation", "report"}
    made = {one.kind.lower(): plain.settings.outbox / one.path for one in plain.ledger.find_objects(job.id)}
    for kind, address in links.items():
        assert address.startswith("http://localhost:8044/viewer?")
        said = parse_qs(urlsplit(address.replace("&amp;", "&")).query)
        assert said["StudyInstanceUIDs"] == [job.study_uid]
        assert said["initialSeriesInstanceUID"] == [read_identity(made[kind]).series_uid]


def test_another_viewer_is_told_the_series(tmp_path):
    viewer = "https://v.test/viewer?StudyInstanceUIDs={study}&initialSeriesInstanceUID={series}"
    linked, mask = House(tmp_path, viewer=viewer), make_ball()
    job, _ = linked.keep(make_images(mask))
    link = f"https://v.test/viewer?StudyInstanceUIDs={job.study_uid}&amp;initialSeriesInstanceUID={job.series_uids[0]}"
    assert f'href="{link}"' in linked.get(f"/results/{job.id}").text


def test_the_role_serves_both_ports_and_says_which_one_is_taken(archive, tmp_path):
    install(tmp_path / "home", *archive)
    main, viewer = free_port(), free_port()
    config = tmp_path / "wetread.toml"
    text = f'[node]\nhome = "{tmp_path}/home"\n[web]\nlisten = "127.0.0.1:{main}"\nviewer_port = {viewer}\n'
    config.write_text(text, "utf-8")
    command = [sys.executable, "-c", "from node.cli import main; main()", "web", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: BUNDLE.encode() in read(viewer, DEEP), 60)
        assert b"alive" in read(main, "/healthz")
    finally:
        process.terminate()
        assert process.wait(30) == 0
    with socket.create_server(("127.0.0.1", viewer)):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"web.viewer_port = {viewer}" in done.stderr


def read(port, path):
    """b"" as long as nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except OSError:
        return b""
    finally:
        connection.close()
