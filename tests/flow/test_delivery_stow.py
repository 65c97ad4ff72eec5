"""Results go to a real Orthanc by STOW-RS, are found there by QIDO-RS, and wait while it is away."""

import pytest
from pydicom import dcmread

from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.resend import resend
from node.outbound.stow import probe
from tests.flow.orthanc import Orthanc
from tests.node.outbound.house import House
from tests.ports import free_port

pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    dicom, http, node = free_port(), free_port(), free_port()
    pacs = Orthanc(tmp_path_factory.mktemp("orthanc"), dicom, http, node)
    pacs.start()
    if "dicom-web" not in pacs.get("/plugins"):
        pacs.stop()
        pytest.skip("Orthanc's DICOMweb plugin is not installed (Debian package orthanc-dicomweb)")
    pacs.root = f"http://127.0.0.1:{http}/dicom-web"
    yield pacs
    pacs.stop()


def make_house(folder, orthanc, slices, **deliver):
    return House(folder, {"pacs": {"dicomweb": orthanc.root, "confirm": "query"}}, slices=slices, **deliver)


def find_study(house):
    first = house.deliveries()[0]
    return str(dcmread(house.settings.outbox / first.object.path).StudyInstanceUID)


def test_orthanc_holds_what_was_sent_and_lists_it(tmp_path, orthanc):
    house = make_house(tmp_path, orthanc, slices=45)
    assert "HTTP 200" in probe(house.settings.peers["pacs"], 5.0)
    house.run_until(lambda: house.state() == State.CONFIRMED)
    assert {(d.state, d.answer) for d in house.deliveries()} == {(DeliveryState.KEPT, "found by query")}
    assert orthanc.count(find_study(house)) == {"CT": 45}
    resend(house.ledger, house.ledger.get_job(house.ids[0]), house.settings.outbox)
    house.run_until(lambda: house.state() == State.CONFIRMED)
    assert orthanc.count(find_study(house)) == {"CT": 45}


def test_a_server_that_was_away_gets_everything_once_its_circuit_closes(tmp_path, orthanc):
    house = make_house(tmp_path, orthanc, slices=5, retry_longest="PT0.5S")
    orthanc.kill()
    house.run_until(lambda: house.ledger.find_circuits() and house.circuit().is_open)
    assert {d.state for d in house.deliveries()} == {DeliveryState.PENDING}
    orthanc.start()
    house.run_until(lambda: house.state() == State.CONFIRMED)
    held = [orthanc.post("/tools/lookup", d.object.sop_instance_uid) for d in house.deliveries()]
    assert [len(found) for found in held] == [1] * 5
    assert not house.circuit().is_open
