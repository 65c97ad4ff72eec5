"""Late images, pipelines that come after each other, and hours: the whole loop, as the PACS sees it."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from pydicom import dcmread

from node.demo.pacs import StandInPacs
from node.model.job import FINAL, State
from node.model.study import StudyState
from tests.flow.house import House
from tests.judges import dciodvfy_errors

SOON = f"{datetime.now() + timedelta(hours=2):%H:%M}"
LATER = f"{datetime.now() + timedelta(hours=3):%H:%M}"
ROUTE = """
[[routes]]
name = "{name}"
when = {{ Modality = "CT", StudyDescription = "{word}" }}
pipeline = "threshold"
deliver = ["pacs"]
"""


class ShyPacs(StandInPacs):
    """Has no room for reports for a while."""

    is_shy = False

    def _on_store(self, event):
        report = event.request.AffectedSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
        return 0xA700 if self.is_shy and report else super()._on_store(event)


def make_routes():
    return "".join(
        [
            ROUTE.format(name="replace", word="REPLACE"),
            ROUTE.format(name="never", word="NEVER") + 'late = "never"\n',
            ROUTE.format(name="always", word="ALWAYS") + 'late = "always"\n',
            ROUTE.format(name="second", word="CHAIN") + 'after = "first"\n',
            ROUTE.format(name="first", word="CHAIN"),
            ROUTE.format(name="hours", word="HOURS") + f'schedule = {{ from = "{SOON}", to = "{LATER}" }}\n',
        ]
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = House(tmp_path_factory.mktemp("house"))
    text = home.config.read_text()
    home.config.write_text(text[: text.index("[[routes]]")] + make_routes())
    home.pacs = ShyPacs(home.folder / "pacs", report_to=("127.0.0.1", home.door, "WETREAD"))
    home.start()
    yield home
    home.close()


def close_version(house, study, version):
    """The jobs of the study, the newest first, once this version of it is closed and all are final."""

    def over():
        (found,) = [one for one in house.ledger.find_studies() if one.study_uid == study]
        jobs = house.ledger.find_jobs(study)
        done = found.state == StudyState.COMPLETE and all(job.state in FINAL for job in jobs)
        return [jobs] if done and found.version == version else None

    return house.wait_until(over, 60)[0]


def read_results(house, job):
    """Modality -> what the PACS holds of the job."""
    held = [house.pacs.held.get(item.sop_instance_uid) for item in house.ledger.find_objects(job.id)]
    return {ds.Modality: ds for ds in (dcmread(path) for path in held if path)}


def show(house, *words):
    command = [sys.executable, "-m", "node.cli", *words]
    answer = subprocess.run(command, env=house.environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_late_images_make_the_second_version_in_the_same_series_and_it_names_the_first(house, make_study):
    study, _, files = make_study(StudyDescription="REPLACE")
    house.send(files[:-2])
    (first,) = house.finish(study)
    house.send(files[-2:])
    second, first = close_version(house, study, 2)
    assert (first.state, first.superseded_by) == (State.CONFIRMED, second.id)
    assert second.state == State.CONFIRMED
    old, new = read_results(house, first), read_results(house, second)
    for modality in ("SEG", "SR"):
        assert new[modality].SeriesInstanceUID == old[modality].SeriesInstanceUID
        assert (old[modality].InstanceNumber, new[modality].InstanceNumber) == (1, 2)
    assert new["SEG"].ReferencedImageSequence[0].ReferencedSOPInstanceUID == old["SEG"].SOPInstanceUID
    assert len(new["SEG"].ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(files)
    (series,) = new["SR"].PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old["SR"].SOPInstanceUID
    assert f"superseded by version 2, job {second.id[:12]}" in show(house, "show", first.id).replace("\n", " ")
    for item in house.ledger.find_objects(second.id):
        assert dciodvfy_errors(house.pacs.held[item.sop_instance_uid]) == []


def test_images_that_the_route_does_not_read_change_nothing(house, make_study):
    study, _, files = make_study(StudyDescription="REPLACE")
    house.send(files)
    (first,) = house.finish(study)
    stored = house.pacs.stored
    others = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".7", "modality": "MR"}
    house.send(make_study(folder="others", StudyDescription="REPLACE", **others)[2])
    assert close_version(house, study, 2) == [house.ledger.get_job(first.id)]
    assert (house.ledger.get_job(first.id).superseded_by, house.pacs.stored) == ("", stored)
    assert "unchanged" in house.ledger.find_history(first.id)[-1].text


def test_a_route_that_wants_no_late_images_keeps_its_result_and_says_so(house, make_study):
    study, _, files = make_study(StudyDescription="NEVER")
    house.send(files[:-2])
    (first,) = house.finish(study)
    house.send(files[-2:])
    assert [job.id for job in close_version(house, study, 2)] == [first.id]
    rows = [row for row in json.loads(show(house, "jobs", "--json")) if row["study_uid"] == study]
    assert {row["state"] for row in rows} == {"CONFIRMED", "NO JOB"}
    assert any('late = "never"' in row["reason"] for row in rows)


def test_always_makes_a_second_result_beside_the_first(house, make_study):
    study, _, files = make_study(StudyDescription="ALWAYS")
    house.send(files[:-2])
    house.finish(study)
    house.send(files[-2:])
    second, first = close_version(house, study, 2)
    assert (first.state, first.superseded_by, second.state) == (State.CONFIRMED, "", State.CONFIRMED)
    old, new = read_results(house, first)["SR"], read_results(house, second)["SR"]
    assert old.SeriesInstanceUID != new.SeriesInstanceUID
    assert "PredecessorDocumentsSequence" not in new


def test_of_a_result_that_is_half_delivered_the_rest_is_never_sent(house, make_study):
    study, _, files = make_study(StudyDescription="REPLACE")
    house.pacs.is_shy = True
    house.send(files[:-2])
    house.wait_until(lambda: any(d.attempts for d in find_waiting_reports(house, study)), 30)
    house.send(files[-2:])
    house.wait_until(lambda: house.ledger.find_jobs(study, [State.CANCELED]), 30)
    house.pacs.is_shy = False
    second, first = close_version(house, study, 2)
    assert (first.state, second.state) == (State.CANCELED, State.CONFIRMED)
    old, new = read_results(house, first), read_results(house, second)
    assert (set(old), set(new)) == ({"SEG"}, {"SEG", "SR"})
    assert new["SEG"].ReferencedImageSequence[0].ReferencedSOPInstanceUID == old["SEG"].SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in new["SR"]


def find_waiting_reports(house, study):
    jobs = house.ledger.find_jobs(study, [State.ENCODED])
    return [d for job in jobs for d in house.ledger.find_deliveries(job.id) if d.object.modality == "SR"]


def test_a_result_that_reached_nobody_is_no_predecessor(house, make_study):
    study, _, files = make_study(StudyDescription="REPLACE")
    house.pacs.stop()
    house.pacs._server = None
    house.send(files[:-2])
    house.wait_until(lambda: house.ledger.find_jobs(study, [State.ENCODED]), 30)
    house.send(files[-2:])
    house.wait_until(lambda: house.ledger.find_jobs(study, [State.CANCELED]), 30)
    house.pacs.start(house.pacs_port)
    second, first = close_version(house, study, 2)
    assert (first.state, second.state) == (State.CANCELED, State.CONFIRMED)
    new = read_results(house, second)
    assert (new["SEG"].InstanceNumber, "ReferencedImageSequence" in new["SEG"]) == (1, False)


def test_one_pipeline_runs_after_another(house, make_study):
    study, _, files = make_study(StudyDescription="CHAIN")
    house.send(files)
    jobs = {job.route: job for job in house.finish(study)}
    assert {job.state for job in jobs.values()} == {State.CONFIRMED}
    assert jobs["second"].after == jobs["first"].id
    made = next(e.at for e in house.ledger.find_history(jobs["first"].id) if e.state == State.ENCODED)
    claimed = next(e.at for e in house.ledger.find_history(jobs["second"].id) if e.state == State.CLAIMED)
    assert made <= claimed < made + 8, "as soon as the first is done, not when the bell is rung again"


def test_a_pipeline_whose_predecessor_fails_fails_by_name(house, make_study):
    study, _, files = make_study(StudyDescription="CHAIN")
    house.send([path for k, path in enumerate(files) if k != 5])
    reasons = {job.route: (job.state, job.reason.split(":")[0]) for job in house.finish(study)}
    assert reasons == {
        "first": (State.FAILED, "MissingSlices"),
        "second": (State.FAILED, "DependencyFailed"),
    }


def test_a_job_waits_for_its_hours_and_says_until_when(house, make_study):
    study, _, files = make_study(StudyDescription="HOURS")
    house.send(files)
    (job,) = house.wait_until(lambda: house.ledger.find_jobs(study), 30)
    (row,) = [row for row in json.loads(show(house, "jobs", "--json")) if row["study_uid"] == study]
    assert row["state"] == "QUEUED"
    assert row["reason"].startswith("waits until ")
    assert row["reason"].endswith(SOON)
    house.ledger.move_job(job, State.CANCELED, 0.0, "test")
