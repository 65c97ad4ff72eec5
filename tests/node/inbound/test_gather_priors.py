"""Which study is a prior: the peer's answers are proposals, and a patient is never guessed."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from node.config import Settings
from node.dicom.header import read_header
from node.errors import PriorMissing
from node.inbound.assemble import Arrival
from node.inbound.gather import is_gathered
from node.inbound.priors import (
    STRANGER,
    choose_series,
    choose_studies,
    find_age,
    find_earliest,
    find_fault,
    read_subject,
)
from node.model.archive import FoundSeries, FoundStudy
from node.model.job import Gathering
from node.oversight.waiting import describe_job
from node.sections import Gather
from tests.jobs import JOB
from tests.series import make_series

RULES = Gather.model_validate({"from": ["pacs"], "priors": 1})


def header(**changes):
    return make_series((1, 4, 4), **changes)[0]


def study(uid="1.2.9", patient="P-1", day="20230102", modalities=("CT",), issuer="", time="", description=""):
    return FoundStudy(uid, patient, issuer, day, time, modalities, description)


def rules(**changes):
    return Gather.model_validate({"from": ["pacs"], "priors": 1} | changes)


@pytest.mark.parametrize(
    "nobody",
    ["", "0", "000", "-", "ANONYMOUS", "anon17", "Anonymized", "UNKNOWN", "n/a", "None", "TEST 1", "XXX", "Patient 3"],
)
def test_a_patient_id_that_names_nobody_is_refused_by_name(nobody):
    with pytest.raises(PriorMissing, match="empty or names nobody") as refusal:
        read_subject(header(PatientID=nobody))
    assert not nobody.strip("0-") or nobody not in str(refusal.value)


@pytest.mark.parametrize("somebody", ["P-1", "1000", "4711", "A0", "PAT-2231", "X123", "Antonia7", "0815"])
def test_a_patient_id_that_may_be_one_is_asked_for(somebody):
    assert read_subject(header(PatientID=somebody)).patient_id == somebody


def test_a_study_without_a_date_has_no_priors():
    with pytest.raises(PriorMissing, match="no Study Date"):
        read_subject(header(StudyDate=""))


@pytest.mark.parametrize(
    "wrong",
    [
        study(patient="P-10"),
        study(patient="p-1"),
        study(patient=""),
        study(issuer="OTHER"),
        study(uid="1.2.3.1"),
        study(uid=""),
        study(day=""),
        study(day="20240103"),
        study(day="20240102", time="030405"),
        study(day="20240102", time="120000"),
        study(day="20201231"),
        study(modalities=("MR", "SR")),
    ],
)
def test_an_answer_that_does_not_meet_what_was_asked_is_no_candidate(wrong):
    subject = read_subject(header(IssuerOfPatientID="HOSPITAL"))
    assert choose_studies([wrong, study()], subject, RULES) == [study()]


def test_candidates_come_newest_first_and_once():
    subject = read_subject(header())
    days = ["20220101", "20231231", "20230505"]
    found = [study(uid=f"1.2.{n}", day=day) for n, day in enumerate(days)]
    earlier_today = study(uid="1.2.7", day="20240102", time="010000")
    chosen = choose_studies([*found, earlier_today, found[0]], subject, RULES)
    assert [one.study_uid for one in chosen] == ["1.2.7", "1.2.1", "1.2.2", "1.2.0"]


def test_what_a_peer_leaves_open_is_no_reason_against_a_study():
    subject = read_subject(header(IssuerOfPatientID="HOSPITAL"))
    assert choose_studies([study(modalities=(), issuer="")], subject, RULES)


def test_series_fit_by_modality_part_and_description():
    subject = read_subject(header())
    found = [
        FoundSeries("1.1", "CT", "CHEST", "lung 1 mm"),
        FoundSeries("1.2", "CT", "HEAD", "lung 1 mm"),
        FoundSeries("1.3", "CT", "", "soft tissue"),
        FoundSeries("1.4", "SR", "CHEST", "lung 1 mm"),
        FoundSeries("", "CT", "CHEST", "lung 1 mm"),
    ]

    def choose(description="", **changes):
        return [s.series_uid for s in choose_series(found, study(description=description), subject, rules(**changes))]

    assert choose() == ["1.1", "1.2", "1.3"]
    assert choose(body_part="chest") == ["1.1", "1.3"]
    assert choose(description="CT thorax", **{"body_part": "CHEST"}) == ["1.1", "1.3"]
    assert [s.series_uid for s in choose_series(found, study(), subject, rules(description={"like": "lung"}))] == [
        "1.1",
        "1.2",
    ]
    assert choose(modality="SR") == ["1.4"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"PatientID": "P-2"}, STRANGER),
        ({"PatientBirthDate": "19700102"}, STRANGER),
        ({"PatientBirthDate": ""}, None),
        ({"StudyDate": "20240203"}, "not earlier, or too old"),
        ({"modality": "MR"}, "of another modality"),
        ({"BodyPartExamined": "HEAD"}, "of another part of the body, or it does not say of which"),
        ({"BodyPartExamined": None}, "of another part of the body, or it does not say of which"),
    ],
)
def test_the_images_that_came_are_asked_again(changes, fault):
    earlier = {"StudyInstanceUID": "1.2.9", "StudyDate": "20230102", "BodyPartExamined": "CHEST"}
    if changes.get("BodyPartExamined", "") is None:
        earlier.pop("BodyPartExamined")
        changes = {}
    assert find_fault(header(**(earlier | changes)), read_subject(header()), rules(body_part="CHEST")) == fault


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("20221101", "14 months before"),
        ("20200101", "4 years before"),
        ("20231201", "4 weeks before"),
        ("20240101", "1 day before"),
        ("20231220", "13 days before"),
        ("20240102", "the same day, before"),
    ],
)
def test_an_age_is_told_without_a_date(day, words):
    assert find_age(day, "20240102") == words


def test_the_earliest_date_asked_for_is_within_before_the_study():
    assert find_earliest(read_subject(header()), rules(within="P1Y")) == "20230102"
    assert find_earliest(read_subject(header()), rules(within=timedelta(days=3_000_000))) == "00010101"


def test_of_real_pairs_those_that_describe_a_chest_are_priors_of_a_chest(real_data):
    wanted, ages = rules(description={"like": "chest"}), {}
    headers = {}
    for patient in sorted((real_data / "ct_chest_prior_current_NY-SBU").iterdir()):
        prior, current = (read_header(path) for path in sorted((patient / "axial").glob("*.dcm")))
        headers[patient.name] = current
        assert find_fault(current, read_subject(prior), wanted) in {"not earlier, or too old", "described otherwise"}
        if find_fault(prior, read_subject(current), wanted) is None:
            ages[patient.name] = find_age(prior.StudyDate, current.StudyDate)
    assert ages == {"A002304": "12 days before", "A048383": "3 months before"}
    one, other = list(headers.values())[:2]
    assert find_fault(one, read_subject(other), wanted) == STRANGER


WINDOW = ("PACS", 100.0, 160.0)


@pytest.mark.parametrize(
    ("arrivals", "answer"),
    [
        ([Arrival("PACS", 110.0, 120.0, "released")], True),
        ([Arrival("PACS-ST", 110.0, None, "")], True),
        ([], True),
        ([Arrival("CT1", 110.0, 120.0, "released")], False),
        ([Arrival("PACS", 161.0, 170.0, "released")], False),
        ([Arrival("PACS", 110.0, 120.0, "released"), Arrival("CT1", 130.0, None, "")], False),
        ([Arrival("CT1", 10.0, 20.0, "released"), Arrival("PACS", 110.0, 500.0, "released")], True),
    ],
)
def test_what_comes_while_it_is_asked_for_is_the_answer_unless_another_peer_brings_it(arrivals, answer):
    assert is_gathered([WINDOW], arrivals, {"CT1"}) is answer


def test_a_study_that_nobody_asked_for_is_not_gathered():
    assert not is_gathered([], [Arrival("PACS", 110.0, 120.0, "released")], set())


@pytest.mark.parametrize("wrong", [{"priors": 0}, {"priors": 0, "missing": True, "required": True}, {"from": []}])
def test_a_route_that_gathers_nothing_is_a_mistake(wrong):
    with pytest.raises(ValueError, match=r"gather|at least 1"):
        rules(**wrong)


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ({"ae_title": "PACS", "address": "h:1"}, "gather.from names 'pacs', which is no peer with query = true"),
        ({"ae_title": "PACS", "address": "h:1", "query": True, "retrieve": "wado"}, "'wado' needs dicomweb"),
        ({"dicomweb": "http://h/rs", "query": True, "retrieve": "get"}, "'get' needs ae_title and address"),
    ],
)
def test_a_peer_that_cannot_be_asked_stops_the_start(peer, words):
    route = {"name": "a", "pipeline": "lung-seg", "gather": {"from": ["pacs"], "priors": 1}}
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings.model_validate({"peers": {"pacs": peer}, "routes": [route]})


def test_a_job_that_waits_for_what_is_gathered_says_so():
    waiting = replace(JOB, gathering=Gathering.ASKING, ready_at=2000.0)
    assert describe_job(waiting, {}, 1999.0) == "waits for priors or missing images"
    assert describe_job(waiting, {}, 2001.0) == ""
