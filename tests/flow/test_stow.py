"""Clients that no one here wrote store by STOW-RS, and what they stored is worked on as if it came by C-STORE."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.demo.sample import make_sample
from node.ledger import SqlLedger
from node.model.job import State
from node.model.role import Role
from node.web.access.users import UserFile
from node.web.check.line import Line
from node.web.check.server import check_server
from tests.flow.orthanc import Orthanc
from tests.node.web.service import Service, make_body
from tests.ports import free_port
from tests.series import make_series, write_series

PASSWORD = "correct horse battery"
TYPE = 'multipart/related; type="application/dicom"; boundary="-=bound=-"'


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The web role with one user, who stands for a peer."""
    home = tmp_path_factory.mktemp("web")
    UserFile(home / "users.toml").add("pacs", Role.OPERATOR, PASSWORD)
    peers = {"pacs": {"ae_title": "PACS", "web_user": "pacs", "send": True}}
    with Service(home, peers=peers) as service:
        yield service


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    server = Orthanc(tmp_path_factory.mktemp("orthanc"), free_port(), free_port(), free_port())
    server.start()
    yield server
    server.stop()


def make_files(folder, count=5, **changes):
    study = generate_uid(prefix=None)
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".1", "FrameOfReferenceUID": study + ".2"}
    return study, write_series(make_series((count, 24, 26), **(uids | changes)), folder)


@pytest.mark.judge
def test_a_study_stored_by_dicomweb_client_becomes_a_result_at_the_pacs(house, make_study):
    api = pytest.importorskip("dicomweb_client.api")
    study, _, paths = make_study()
    client = api.DICOMwebClient(f"http://127.0.0.1:{house.web}/dicom-web")
    receipt = client.store_instances([dcmread(path) for path in paths], study_instance_uid=study)
    assert len(receipt.ReferencedSOPSequence) == len(paths)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED
    assert house.received(study)
    assert len(client.search_for_instances(study_instance_uid=study)) >= len(paths)


@pytest.mark.judge
def test_dicomweb_client_is_told_what_was_not_stored(web, tmp_path):
    api = pytest.importorskip("dicomweb_client.api")
    session = pytest.importorskip("dicomweb_client.session_utils")
    study, paths = make_files(tmp_path, 2)
    logged_in = session.create_session_from_user_pass("pacs", PASSWORD)
    client = api.DICOMwebClient(f"{web.url}/dicom-web", session=logged_in)
    receipt = client.store_instances([dcmread(paths[0])])
    assert receipt.ReferencedSOPSequence[0].RetrieveURL.startswith(f"{web.url}/dicom-web/studies/{study}/series/")
    changed = dcmread(paths[0])
    changed.PatientID = "CHANGED"
    receipt = client.store_instances([changed, dcmread(paths[1])])
    assert [item.FailureReason for item in receipt.FailedSOPSequence] == [0xC000]
    assert len(receipt.ReferencedSOPSequence) == 1
    assert web.ledger.find_associations(study)[0][0] == "PACS"


@pytest.mark.judge
def test_curl_stores_in_chunks_with_a_token(web, tmp_path):
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    study, paths = make_files(tmp_path / "study")
    body = tmp_path / "body"
    body.write_bytes(make_body([path.read_bytes() for path in paths]))
    token = UserFile(web.settings.node.home / "users.toml").add_token("pacs")
    command = [curl, "-sS", "-f", "-X", "POST", "-T", str(body), "-H", f"Content-Type: {TYPE}"]
    command += ["-H", "Transfer-Encoding: chunked", "-H", f"Authorization: Bearer {token}"]
    done = subprocess.run([*command, f"{web.url}/dicom-web/studies"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["00081199"]["Value"]) == len(paths)
    assert len(web.ledger.find_instances(study)) == len(paths)


def introduce(orthanc, web):
    """Tells Orthanc's DICOMweb plugin where we are and who it is there."""
    server = {"Url": f"{web.url}/dicom-web/", "Username": "pacs", "Password": PASSWORD}
    put = Request(f"{orthanc._http}/dicom-web/servers/wetread", json.dumps(server).encode(), method="PUT")
    urlopen(put, timeout=10).close()


@pytest.mark.judge
def test_orthanc_stores_to_us(web, orthanc, tmp_path):
    study, paths = make_files(tmp_path)
    orthanc.take(tmp_path)
    introduce(orthanc, web)
    (found,) = orthanc.post("/tools/lookup", study)
    job = orthanc.post("/dicom-web/servers/wetread/stow", json.dumps({"Resources": [found["ID"]], "Synchronous": True}))
    assert int(job["InstancesCount"]) == len(paths)
    assert len(web.ledger.find_instances(study)) == len(paths)
    assert web.ledger.find_associations(study)[0][0] == "PACS"


@pytest.mark.judge
def test_orthanc_finds_with_us_and_retrieves_from_us(web, orthanc, tmp_path):
    study, paths = make_files(tmp_path)
    files = {path: dcmread(path) for path in paths}
    head = {"Authorization": f"Basic {base64.b64encode(f'pacs:{PASSWORD}'.encode()).decode()}"}
    assert web.store([path.read_bytes() for path in paths], headers=head)[0] == 200
    introduce(orthanc, web)
    asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": study}}
    (found,) = orthanc.post("/dicom-web/servers/wetread/qido", json.dumps(asked))
    assert found["0020000D"]["Value"] == study
    assert not orthanc.post("/tools/lookup", study)
    series = files[paths[0]].SeriesInstanceUID
    wanted = [{"Study": study, "Series": series, "Instance": files[paths[0]].SOPInstanceUID}, {"Study": study}]
    for one, count in zip(wanted, (1, len(paths)), strict=True):
        asked = {"Resources": [one], "Synchronous": True}
        job = orthanc.post("/dicom-web/servers/wetread/retrieve", json.dumps(asked))
        assert int(job["ReceivedInstancesCount"]) == count
    for ds in files.values():
        (kept,) = orthanc.post("/tools/lookup", ds.SOPInstanceUID)
        with urlopen(f"{orthanc._http}/instances/{kept['ID']}/file", timeout=10) as answer:
            assert dcmread(io.BytesIO(answer.read())) == ds


@pytest.mark.judge
def test_what_the_checker_finds_wrong_with_orthanc_is_known(orthanc):
    findings = list(check_server(Line(f"{orthanc._http}/dicom-web"), make_sample(2)))
    wrong = {finding.asked for finding in findings if finding.ok is False}
    assert wrong <= {
        "store of a body without boundaries",
        "media type of a search for XML",
        "media types that a search does not have",
        "an instance as what it cannot be",
    }
    assert len([finding for finding in findings if finding.ok]) > 60


def test_a_killed_web_role_leaves_a_lost_association_and_whole_files(tmp_path):
    """200 means kept; what was under way when it died counts as broken off."""
    home, port = tmp_path / "home", free_port()
    config = tmp_path / "wetread.toml"
    config.write_text(
        f'routes = []\n[node]\nhome = "{home}"\nlisten = "127.0.0.1:1"\n[web]\nlisten = "127.0.0.1:{port}"\n'
    )
    study, paths = make_files(tmp_path / "study", 3)
    process = _start(config, port)
    try:
        body = make_body([path.read_bytes() for path in paths])
        connection = _post_half(port, body, announced=len(body) + (4 << 20))
        _wait_for(lambda: len(list((home / "spool" / "kept").rglob("*.dcm"))) == len(paths))
        _wait_for(lambda: _count_rows(home, study) == len(paths))  # the rows follow their files
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    connection.close()
    process = _start(config, port)
    try:
        ledger = SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}")
        assert len(ledger.find_instances(study)) == len(paths)
        assert ledger.find_associations(study)[0][3] == "lost"
        ledger.close()
    finally:
        process.terminate()
        assert process.wait(20) == 0


def _count_rows(home, study):
    ledger = SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}")
    try:
        return len(ledger.find_instances(study))
    finally:
        ledger.close()


def _start(config, port):
    environment = {name: text for name, text in os.environ.items() if not name.startswith("WETREAD_")}
    process = subprocess.Popen([sys.executable, "-m", "node.cli", "web", "--config", str(config)], env=environment)
    _wait_for(lambda: _is_alive(port), 60)
    return process


def _is_alive(port):
    try:
        return urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).status == 200
    except OSError:
        return False


def _post_half(port, body, announced):
    connection = socket.create_connection(("127.0.0.1", port))
    head = "POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {announced}\r\nContent-Type: {TYPE}\r\n\r\n"
    # The last boundary stays away, and a megabyte follows, so that what is before it is judged.
    connection.sendall(head.encode() + body.removesuffix(b"--\r\n") + b"\r\n\r\n" + bytes(2 << 20))
    return connection


def _wait_for(truth, seconds=20):
    patience = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_basic_credentials_are_what_rfc_7617_says(web):
    shown = base64.b64encode(f"pacs:{PASSWORD}".encode()).decode()
    request = Request(f"{web.url}/dicom-web/studies?limit=1", headers={"Authorization": f"Basic {shown}"})
    with urlopen(request, timeout=10) as answer:
        assert answer.status in {200, 204}
