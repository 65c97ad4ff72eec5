"""The service as part of the whole web role: nobody reads it unasked, pages of other sites only where that is allowed."""

import numpy as np
from starlette.testclient import TestClient

from node.web.app import make_web
from tests.node.web.dicomweb.archive import Store
from tests.series import make_slice

VIEWER = "https://viewer.hospital.test"


def call(tmp_path, **web):
    store = Store(tmp_path, **web)
    store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0)))
    application = make_web(store.settings, store.ledger, store.spool)
    return TestClient(application, base_url="http://127.0.0.1:8042", client=("127.0.0.1", 50000))


def test_on_this_machine_alone_everything_is_read_and_the_index_is_kept(tmp_path):
    with call(tmp_path) as client:
        (study,) = client.get("/dicom-web/studies").json()
        assert study["00081190"]["Value"] == ["http://127.0.0.1:8042/dicom-web/studies/1.2.3.1"]
        assert client.get("/dicom-web/studies/1.2.3.1/metadata").json()[0]["00100020"]["Value"] == ["P-1"]


def test_off_this_machine_nothing_is_read_without_a_name(tmp_path):
    with call(tmp_path, listen="0.0.0.0:8042") as client:
        for path in ("studies", "studies/1.2.3.1", "studies/1.2.3.1/metadata", "studies/1.2.3.1/thumbnail", ""):
            assert client.get(f"/dicom-web/{path}").status_code == 401, path


def test_a_browser_asks_for_leave_without_a_name_and_gets_it_for_sites_that_are_named(tmp_path):
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with call(tmp_path, listen="0.0.0.0:8042", origins=[VIEWER]) as client:
        given = client.options("/dicom-web/studies", headers={"Origin": VIEWER, **asked})
        assert given.status_code == 200
        assert given.headers["Access-Control-Allow-Origin"] == VIEWER
        other = client.options("/dicom-web/studies", headers={"Origin": "https://elsewhere.test", **asked})
        assert "Access-Control-Allow-Origin" not in other.headers
        assert client.get("/dicom-web/studies", headers={"Origin": VIEWER}).status_code == 401


def test_addresses_begin_with_the_one_that_clients_see(tmp_path):
    with call(tmp_path, public_url="https://ai.hospital.test") as client:
        (study,) = client.get("/dicom-web/studies").json()
        assert study["00081190"]["Value"][0].startswith("https://ai.hospital.test/dicom-web/studies/")
        (model,) = client.get("/dicom-web/studies/1.2.3.1/metadata").json()
        assert model["7FE00010"]["BulkDataURI"].startswith("https://ai.hospital.test/dicom-web/studies/")
