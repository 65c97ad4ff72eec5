"""A study in, a SEG and a Structured Report back, and kept."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from pydicom import dcmread

from node.dicom.read_report import read_findings
from node.model.delivery import DeliveryState
from node.model.job import State

BLOCK_ML = 4 * 10 * 10 * 1.5 * 0.8 * 0.7 / 1000


def test_a_study_comes_back_as_seg_and_sr_and_is_committed(house, make_study):
    study, slices, files = make_study()
    house.send(files)
    (job,) = house.finish(study)
    assert (job.state, job.attempt) == (State.CONFIRMED, 1)
    seg, report = (dcmread(path) for path in house.received(study))
    assert (seg.Modality, report.Modality) == ("SEG", "SR")
    assert seg.PatientID == report.PatientID == slices[0].PatientID
    assert seg.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    (finding,) = read_findings(report)
    assert finding["measurements"][0]["value"] == pytest.approx(BLOCK_ML)
    assert finding["segment"]["sop_instance_uid"] == seg.SOPInstanceUID
    assert {d.answer for d in house.ledger.find_deliveries(job.id)} == {"committed"}


def test_nothing_found_is_a_report_that_says_absent_and_no_seg(house, make_study):
    study, _, files = make_study(bright=False)
    house.send(files)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED
    (report,) = (dcmread(path) for path in house.received(study))
    (finding,) = read_findings(report)
    assert finding["absent"]


def test_sending_the_same_study_again_changes_nothing(house, make_study):
    study, _, files = make_study()
    house.send(files)
    house.finish(study)
    stored = house.pacs.stored
    house.send(files)
    house.wait_until(lambda: len(house.ledger.find_associations(study)) == 2, 10)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED
    assert house.pacs.stored == stored


def test_results_that_come_back_do_not_loop(house, make_study):
    study, _, files = make_study()
    house.send(files)
    house.finish(study)
    assert house.send(house.received(study)) == 2
    (job,) = house.finish(study)
    assert (job.version, job.state) == (1, State.CONFIRMED)


def test_dcmtk_sends_with_the_readmes_command(house, make_study, tmp_path):
    study, _, _files = make_study(folder="in")
    command = ["storescu", "-aec", "WETREAD", "localhost", str(house.door), "+sd", "+r", str(tmp_path / "in")]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("dcmtk is not installed")
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED


def test_a_retry_of_a_failed_job_makes_the_same_objects(house, make_study):
    study, _, files = make_study()
    house.pacs.stop()
    house.pacs._server = None
    house.send(files)
    job = house.wait_until(lambda: next(iter(house.ledger.find_jobs(study, [State.ENCODED])), None), 30)
    first = [item.sop_instance_uid for item in house.ledger.find_objects(job.id)]
    written = {uid: (house.settings.outbox / job.id / f"{uid}.dcm").read_bytes() for uid in first}
    house.ledger.move_job(house.ledger.get_job(job.id), State.FAILED, 0.0, "test", "failed on purpose")
    run_cli(house, "retry", job.id[:12])
    house.wait_until(lambda: house.ledger.find_jobs(study, [State.ENCODED]), 30)
    house.pacs.start(house.pacs_port)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED
    assert {uid: (house.settings.outbox / job.id / f"{uid}.dcm").read_bytes() for uid in first} == written
    assert {d.state for d in house.ledger.find_deliveries(job.id)} == {DeliveryState.KEPT}


def run_cli(house, *words):
    command = [sys.executable, "-m", "node.cli", *words]
    answer = subprocess.run(command, env=house.environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_the_command_line_and_the_page_tell_where_the_study_is(house, make_study):
    study, _, files = make_study()
    house.send(files)
    (job,) = house.finish(study)
    rows = json.loads(run_cli(house, "jobs", "--json"))
    assert {"state": "CONFIRMED", "study_uid": study}.items() <= next(r for r in rows if r["job_id"] == job.id).items()
    shown = run_cli(house, "show", job.id)
    for station in ("QUEUED", "CLAIMED", "ENCODED", "DELIVERED", "CONFIRMED", "committed"):
        assert station in shown
    assert job.id in read(house, "/")
    assert 'wetread_jobs{pipeline="threshold",state="CONFIRMED"}' in read(house, "/metrics")
    assert read(house, "/readyz") == "ready\n"


def read(house, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{house.web}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_no_patient_is_in_the_log_the_ledger_or_a_file_name(house, make_study):
    study, slices, files = make_study(
        PatientID="QZX-4711-JW", PatientName="Unique^Namesake", PatientBirthDate="19310203"
    )
    house.send(files)
    house.finish(study)
    assert slices[0].PatientID == "QZX-4711-JW"
    places = [house.folder / "node.log", *(house.folder / "home").glob("ledger.sqlite*")]
    for place in [*places, *(house.folder / "home" / "broker").rglob("*.aof")]:
        if place.is_file():
            content = place.read_bytes()
            for secret in (b"QZX-4711", b"Namesake", b"19310203"):
                assert secret not in content, place
    names = " ".join(str(path) for path in (house.folder / "home").rglob("*"))
    assert "QZX-4711" not in names
    assert study not in names
