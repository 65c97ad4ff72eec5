"""Routes are data: what matches, and why something does not."""

from node.config import Settings
from node.inbound.match import match_study
from node.model.study import Study, StudyState
from tests.series import make_series

STUDY = Study("1.2.3", StudyState.RECEIVING, 1, 0.0, 0.0, None, "", "")


def header(**changes):
    return make_series((1, 4, 4), **changes)[0]


def settings(*routes, **peers):
    return Settings.model_validate({"routes": list(routes), "peers": peers})


def test_one_job_per_route_with_the_series_that_match():
    samples = {"1.2.3.1": header(), "1.2.3.2": header(modality="MR")}
    routes = [{"name": "a", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}]
    routes.append({"name": "b", "when": {"Modality": "MR"}, "pipeline": "brain-extract"})
    jobs, reason = match_study(STUDY, samples, {"SCU"}, settings(*routes), 5.0, "complete")
    assert [(job.pipeline, job.series_uids) for job in jobs] == [
        ("lung-seg", ("1.2.3.1",)),
        ("brain-extract", ("1.2.3.2",)),
    ]
    assert reason == ""
    again, _ = match_study(STUDY, samples, {"SCU"}, settings(*routes), 9.0, "complete")
    assert [job.id for job in again] == [job.id for job in jobs]


def test_a_study_without_a_route_says_why_for_each():
    routes = [{"name": "head", "when": {"Modality": "MR"}, "pipeline": "brain-extract"}]
    routes.append({"name": "x", "from": ["scanner"], "pipeline": "lung-seg"})
    peers = {"scanner": {"ae_title": "SCAN", "address": "h:1", "send": True}}
    jobs, reason = match_study(STUDY, {"1": header()}, {"SCU"}, settings(*routes, **peers), 5.0, "complete")
    assert jobs == []
    assert reason == "no matching route: route 'head': Modality is not MR; route 'x': not sent by scanner"


def test_sources_are_peers_by_their_calling_title():
    peers = {"scanner": {"ae_title": "SCAN", "address": "h:1", "send": True}}
    route = {"name": "x", "from": ["scanner"], "pipeline": "lung-seg"}
    jobs, _ = match_study(STUDY, {"1": header()}, {"SCAN"}, settings(route, **peers), 5.0, "complete")
    assert len(jobs) == 1


def test_a_study_of_reports_alone_says_that_it_has_no_images():
    assert match_study(STUDY, {}, set(), settings(), 5.0, "complete")[1].startswith("no images")


def test_a_study_closed_by_give_up_tells_its_job():
    jobs, _ = match_study(STUDY, {"1": header()}, set(), Settings(), 5.0, "gave up; the study may be incomplete")
    assert jobs[0].notes == ("gave up; the study may be incomplete",)
