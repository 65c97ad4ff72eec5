"""A patient is found by id, and the id is in no ledger, no address and no log."""

import json
import logging
import sqlite3
import stat
from threading import Event, Thread

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.inbound.enqueue import Enqueuer
from node.inbound.side_door import SideDoor
from node.inbound.spool import Spool
from node.model.role import Role
from node.security.patient_key import PatientKeys
from node.web.access.guard import find_needed
from tests.node.web.test_pages import Site
from tests.series import make_series

ID = "MRN-0815/7"
ACCESSIONS = {1: "A-7", 2: "A-7 ", 3: "A-70"}


class Bell:
    def ring(self, waiting):
        """Nobody hears it."""


@pytest.fixture
def site(tmp_path):
    """Two studies of one patient, one of another, closed as the node closes them."""
    site = Site(tmp_path, completeness={"quiet": "PT0S"}, listen={"min_free_mb": 0})
    door = SideDoor(Spool(site.settings.spool, 0), site.ledger, 100)
    door.start()
    for number, patient in enumerate((ID, "MRN-0815/8", f" {ID} "), 1):
        uid = f"1.2.3.{number}"
        with door.open("CT1", uid) as take:
            for one in make_series(
                (1, 4, 4),
                StudyInstanceUID=uid,
                SeriesInstanceUID=uid + ".1",
                PatientID=patient,
                AccessionNumber=ACCESSIONS[number],
            ):
                one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.1"
                one.save_as(tmp_path / "one.dcm", enforce_file_format=True)
                take([(tmp_path / "one.dcm").read_bytes()])
        (tmp_path / "one.dcm").unlink()
    door.stop()
    assert Enqueuer(site.settings, site.ledger, Bell()).close_complete(9e9) == 3
    yield site
    site.ledger.close()


def find(site, where):
    answer = site.post("/patient", patient_id=f"{ID} ", list=where)
    assert answer.status_code == 303
    return answer.headers["Location"]


def test_the_studies_and_jobs_of_one_patient_are_found(site):
    for where in ("studies", "jobs"):
        said = site.show(find(site, where))
        assert "of one patient only" in said
        assert [uid in said for uid in ("1.2.3.1", "1.2.3.2", "1.2.3.3")] == [True, False, True], where
    assert "1.2.3.2" in site.show("/studies")


def test_a_filter_keeps_to_the_patient_and_an_empty_id_asks_nothing(site):
    place = find(site, "jobs")
    key = place.removeprefix("/?patient=")
    assert f'name="patient" value="{key}"' in site.get(place).text
    assert "1.2.3.1" in site.show(f"{place}&text=1.2.3.1")
    assert "No job" in site.show(f"{place}&text=1.2.3.2") or "1.2.3.2" not in site.get(f"{place}&text=1.2.3.2").text
    assert site.post("/patient", patient_id="  ", list="studies").headers["Location"] == "/studies"
    assert site.post("/patient", patient_id="x", list="//evil.test").headers["Location"].startswith("/studies?patient=")


def test_nobody_is_found_by_an_id_that_nobody_has(site):
    place = site.post("/patient", patient_id="MRN-0815", list="studies").headers["Location"]
    assert "1.2.3.1" not in site.get(place).text


def test_studies_are_found_by_accession_number_before_and_after_they_were_closed(site):
    assert site.get("/dicom-web/studies").status_code == 200, "a search brings the index up to date"
    place = site.post("/patient", accession_number=" A-7").headers["Location"]
    assert set(place.removeprefix("/studies?among=").split(",")) == {"1.2.3.1", "1.2.3.2"}
    said = site.show(place)
    assert "of one accession number only" in said
    assert [uid in said for uid in ("1.2.3.1", "1.2.3.2", "1.2.3.3")] == [True, True, False]
    nothing = site.post("/patient", accession_number="A-8").headers["Location"]
    assert "No study is like that" in site.show(nothing)
    assert "A-7" not in site.audit()[-1]


def test_the_command_finds_by_accession_number_and_by_how_a_study_begins(site, tmp_path, monkeypatch):
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{tmp_path}"\n')
    monkeypatch.setenv("WETREAD_CONFIG", str(config))
    command = ["jobs", "--json", "--accession", "A-70"]
    assert json.loads(CliRunner().invoke(app, command).output) == [], "nothing was indexed yet"
    site.get("/dicom-web/studies")
    assert {row["study_uid"] for row in json.loads(CliRunner().invoke(app, command).output)} == {"1.2.3.3"}
    begins = CliRunner().invoke(app, ["jobs", "1.2.3.2", "--json"]).output
    assert {row["study_uid"] for row in json.loads(begins)} == {"1.2.3.2"}
    refused = CliRunner().invoke(app, ["jobs", "--state", "FAILD"]).exception
    assert "no state 'FAILD'; there are: QUEUED" in str(refused)


def test_programs_list_by_the_key(site):
    key = find(site, "jobs").removeprefix("/?patient=")
    assert {row["study_uid"] for row in site.get(f"/api/v1/jobs?patient={key}").json()} == {"1.2.3.1", "1.2.3.3"}


def test_the_id_is_in_no_ledger_no_address_no_log_and_no_audit(site, caplog):
    with caplog.at_level(logging.DEBUG):
        place = find(site, "studies")
        text = site.get(place).text
    held = "".join(sqlite3.connect(site.settings.node.home / "ledger.sqlite").iterdump())
    for words in (place, text, held, caplog.text, "".join(site.audit())):
        assert "0815" not in words
    assert "POST /patient" in site.audit()[-1]


def test_a_viewer_may_search(site):
    assert find_needed("POST", "/patient") == Role.VIEWER


def test_the_key_is_the_installation_s_own_and_readable_by_its_owner_alone(site, tmp_path):
    ours, others = PatientKeys(site.settings.node.home), PatientKeys(tmp_path / "elsewhere")
    assert ours.derive(ID) != others.derive(ID)
    assert PatientKeys(site.settings.node.home).derive(ID) == ours.derive(ID)
    assert stat.S_IMODE((site.settings.node.home / "patient.key").stat().st_mode) == 0o600


def test_of_many_who_make_the_secret_at_once_all_use_the_same(tmp_path):
    made, go = [], Event()

    def make():
        go.wait()
        made.append(PatientKeys(tmp_path / "home").derive(ID))

    threads = [Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
