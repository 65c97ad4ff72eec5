"""The service as part of the whole web role: who may read it, and pages of which other sites."""

from contextlib import contextmanager

import numpy as np
import requests

from node.model.role import Role
from node.web.access.users import UserFile
from node.web.app import make_web
from tests.node.web.dicomweb.archive import Store, serve
from tests.series import make_slice

VIEWER = "https://viewer.hospital.test"
READER, PASSWORD = "reader", "a long enough secret"


@contextmanager
def run(folder, **web):
    """The base URL of the whole web role over one image; a port of its own whatever it is told to listen on."""
    store = Store(folder, **web)
    UserFile(store.settings.node.home / "users.toml").add(READER, Role.VIEWER, PASSWORD)
    store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0)))
    store.application = make_web(store.settings, store.ledger, store.spool)
    with serve(store) as address:
        yield address


def read(address, **headers):
    return requests.get(address, headers=headers, auth=(READER, PASSWORD), timeout=20)


def test_who_may_read_reads_and_nobody_else(tmp_path):
    with run(tmp_path) as address:
        (study,) = read(f"{address}/studies").json()
        assert study["00081190"]["Value"] == [f"{address}/studies/1.2.3.1"]
        for path in ("studies", "studies/1.2.3.1", "studies/1.2.3.1/metadata", "studies/1.2.3.1/thumbnail", ""):
            assert requests.get(f"{address}/{path}", timeout=20).status_code == 401, path
        missing = read(f"{address}/studies/1.9")
        assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_browser_asks_for_leave_without_a_name_and_gets_it_for_sites_that_are_named(tmp_path):
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with run(tmp_path, origins=[VIEWER]) as address:
        given = requests.options(f"{address}/studies", headers={"Origin": VIEWER, **asked}, timeout=20)
        assert given.status_code == 200
        assert given.headers["Access-Control-Allow-Origin"] == VIEWER
        other = requests.options(f"{address}/studies", headers={"Origin": "https://other.test", **asked}, timeout=20)
        assert "Access-Control-Allow-Origin" not in other.headers
        assert requests.get(f"{address}/studies", headers={"Origin": VIEWER}, timeout=20).status_code == 401
        assert read(f"{address}/studies", Origin=VIEWER).headers["Access-Control-Allow-Origin"] == VIEWER


def test_addresses_begin_with_the_one_that_clients_see(tmp_path):
    with run(tmp_path, public_url="https://ai.hospital.test") as address:
        (study,) = read(f"{address}/studies").json()
        assert study["00081190"]["Value"][0].startswith("https://ai.hospital.test/dicom-web/studies/")
        (model,) = read(f"{address}/studies/1.2.3.1/metadata").json()
        assert model["7FE00010"]["BulkDataURI"].startswith("https://ai.hospital.test/dicom-web/studies/")
