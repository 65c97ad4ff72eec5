"""A result as FHIR R4, read by the models of fhir.resources."""

import json

from fhir.resources.R4B.bundle import Bundle

from node.dicom.read_report import read_findings
from node.messages.fhir import make_transaction
from tests.node.messages.letters import DENSITY, ORDER, make_letter, make_refused, make_report


def validate(letter):
    """The bundle, valid by the models, as they write it."""
    bundle = Bundle.model_validate_json(json.dumps(make_transaction(letter)))
    return json.loads(bundle.model_dump_json())


def test_a_result_is_a_report_with_an_observation_for_each_finding():
    report = make_report(absent=True)
    bundle = validate(make_letter(report, order=ORDER, viewer="https://viewer.test/1.2.3"))
    assert bundle["type"] == "transaction"
    first, *rest = (entry["resource"] for entry in bundle["entry"])
    assert first["status"] == "preliminary"
    assert first["identifier"][0]["value"] == f"urn:oid:{report.SOPInstanceUID}"
    assert first["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{report.StudyInstanceUID}"
    assert first["subject"]["identifier"] == {"value": "P-1&7", "assigner": {"display": "HOSP"}}
    assert first["basedOn"][0]["identifier"]["value"] == "A-17"
    assert first["effectiveDateTime"] == "2024-01-02T03:04:05+01:00"
    assert first["presentedForm"][0]["url"] == "https://viewer.test/1.2.3"
    assert [one["reference"] for one in first["result"]] == [entry["fullUrl"] for entry in bundle["entry"][1:]]
    assert "lung-nodule 1.2.0" in first["conclusion"]
    assert "artificial intelligence" in first["conclusion"]
    assert first["conclusionCode"][0]["coding"][0]["code"] == "111242"
    for finding, observation in zip(read_findings(report), rest, strict=True):
        assert observation["code"]["coding"][0]["code"] == finding["finding"].value
        present = observation["valueCodeableConcept"]["coding"][0]["code"]
        assert present == ("2667000" if finding["absent"] else "52101004")
        said = [(c["valueQuantity"]["value"], c["valueQuantity"]["code"]) for c in observation.get("component", [])]
        assert said == [(m["value"], m["unit"].value) for m in finding["measurements"]]
        assert observation["device"]["reference"] == "#" + observation["contained"][0]["id"]
        assert observation["contained"][0]["version"][0]["value"] == "1.2.0"


def test_an_answer_is_a_component_of_its_finding():
    bundle = validate(make_letter(make_report(count=1, answers=(DENSITY,))))
    answer, *numbers = bundle["entry"][1]["resource"]["component"]
    assert answer["code"]["coding"][0]["code"] == "NOD-DENS"
    assert answer["valueCodeableConcept"]["coding"][0]["display"] == "Solid pulmonary nodule"
    assert all("valueQuantity" in one for one in numbers)


def test_a_repeat_creates_nothing_twice():
    once, again = make_transaction(make_letter()), make_transaction(make_letter())
    assert once == again
    conditions = [entry["request"]["ifNoneExist"] for entry in once["entry"]]
    assert len(set(conditions)) == len(conditions) == 3
    for entry in once["entry"]:
        identifier = entry["resource"]["identifier"][0]
        assert entry["request"]["ifNoneExist"] == f"identifier={identifier['system']}|{identifier['value']}"
    other = make_transaction(make_letter(make_report(job_id="job-2")))
    assert not {entry["request"]["ifNoneExist"] for entry in other["entry"]} & set(conditions)


def test_that_the_algorithm_did_not_run_is_a_report_without_results():
    bundle = validate(make_letter(make_refused()))
    (entry,) = bundle["entry"]
    report = entry["resource"]
    assert report["status"] == "cancelled"
    assert "result" not in report
    assert [one["coding"][0]["code"] for one in report["conclusionCode"]] == ["111245", "R111"]
    assert "did not run" in report["conclusion"]


def test_a_time_without_zone_is_told_as_a_date():
    report = validate(make_letter(make_report(TimezoneOffsetFromUTC="")))["entry"][0]["resource"]
    assert report["effectiveDateTime"] == "2024-01-02"
    assert report["issued"].startswith("2023-11-14T22:13:20")
