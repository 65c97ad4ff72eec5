"""Routes are data: what matches, and why something does not."""

from node.config import Settings
from node.inbound.match import digest_series, match_study
from node.model.study import Study, StudyState
from tests.jobs import make_instance
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


def test_a_condition_on_the_study_is_met_by_any_one_series():
    route = {"name": "ct beside mr", "when": {"Modality": "CT"}, "study": {"Modality": "MR"}, "pipeline": "lung-seg"}
    samples = {"1.2.3.1": header(), "1.2.3.2": header(modality="MR")}
    (job,), _ = match_study(STUDY, samples, set(), settings(route), 5.0, "complete")
    assert job.series_uids == ("1.2.3.1",)
    jobs, reason = match_study(STUDY, {"1.2.3.1": header()}, set(), settings(route), 5.0, "complete")
    assert jobs == []
    assert reason == "no matching route: route 'ct beside mr': study: Modality is not MR"


def test_one_series_must_meet_all_that_is_asked_of_the_study():
    route = {"name": "x", "study": {"Modality": "MR", "KVP": 120}, "pipeline": "lung-seg"}
    samples = {"1": header(), "2": header(modality="MR")}
    assert match_study(STUDY, samples, set(), settings(route), 5.0, "complete")[0] == []


def test_a_job_comes_after_the_job_of_the_route_or_pipeline_that_its_route_names():
    brain = {"name": "brain", "when": {"Modality": "MR"}, "pipeline": "brain-extract"}
    lung = {"name": "lung", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}
    samples = {"1": header(), "2": header(modality="MR")}
    for named in ("brain", "brain-extract"):
        found = settings(lung | {"after": named}, brain)
        first, second = match_study(STUDY, samples, set(), found, 5.0, "complete")[0]
        assert (first.route, second.route, first.after, second.after) == ("brain", "lung", "", first.id)


def test_a_job_whose_predecessor_is_not_made_names_it_all_the_same():
    brain = {"name": "brain", "when": {"Modality": "MR"}, "pipeline": "brain-extract"}
    lung = {"name": "lung", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "after": "brain"}
    (job,), _ = match_study(STUDY, {"1": header()}, set(), settings(brain, lung), 5.0, "complete")
    assert (job.route, len(job.after)) == ("lung", 32)


def test_inputs_follow_the_images_of_the_series_that_are_read_and_no_others():
    route = {"name": "a", "when": {"Modality": "CT"}, "pipeline": "lung-seg"}
    samples = {"1": header(), "2": header(modality="MR")}

    def find_inputs(**digests):
        return match_study(STUDY, samples, set(), settings(route), 5.0, "complete", digests)[0][0].inputs

    assert find_inputs(**{"1": "a", "2": "b"}) == find_inputs(**{"1": "a", "2": "c"})
    assert find_inputs(**{"1": "a", "2": "b"}) != find_inputs(**{"1": "d", "2": "b"})


def test_the_digest_of_a_series_does_not_follow_the_order_in_which_its_images_came():
    images = [make_instance(1), make_instance(2), make_instance(3, is_image=False)]
    assert digest_series(images) == digest_series([images[1], images[0]])
    assert digest_series(images) != digest_series([images[0]])


def test_a_study_of_reports_alone_says_that_it_has_no_images():
    assert match_study(STUDY, {}, set(), settings(), 5.0, "complete")[1].startswith("no images")


def test_a_study_closed_by_give_up_tells_its_job():
    jobs, _ = match_study(STUDY, {"1": header()}, set(), Settings(), 5.0, "gave up; the study may be incomplete")
    assert jobs[0].notes == ("gave up; the study may be incomplete",)
