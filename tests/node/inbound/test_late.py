"""Late images, route by route: a new job, or the earlier one stays the last word, and says why."""

from dataclasses import replace

import pytest

from node.inbound.late import settle_late
from node.model.job import Late, State
from tests.jobs import JOB


def make_job(version, images, route="chest CT", late=Late.REPLACE, after=""):
    key = f"{route} {version}"
    return replace(JOB, id=key, version=version, route=route, inputs=images, late=late, after=after)


def settle(*jobs, earlier=()):
    return settle_late(jobs, earlier)


@pytest.fixture
def first():
    (job,) = settle(make_job(1, "a")).jobs
    return job


@pytest.mark.parametrize("late", [Late.REPLACE, Late.ALWAYS])
def test_more_images_make_a_new_job(first, late):
    settled = settle(make_job(2, "a b", late=late), earlier=[first])
    assert [(job.version, job.late) for job in settled.jobs] == [(2, late)]
    assert (settled.remarks, settled.reason) == ({}, "")


def test_the_same_images_make_none_and_the_earlier_job_says_unchanged(first):
    settled = settle(make_job(2, "a"), earlier=[first])
    assert settled.jobs == []
    assert list(settled.remarks) == [first.id]
    assert "route 'chest CT': unchanged" in settled.reason


def test_a_route_that_wants_no_late_images_makes_none_and_says_so(first):
    settled = settle(make_job(2, "a b", late=Late.NEVER), earlier=[first])
    assert settled.jobs == []
    assert 'late = "never"' in settled.remarks[first.id]


def test_a_route_that_had_no_job_yet_gets_one_whatever_it_says_of_late_images(first):
    settled = settle(make_job(2, "b", "head", Late.NEVER), earlier=[first])
    assert [job.route for job in settled.jobs] == ["head"]


def test_it_is_compared_with_the_latest_version_not_with_the_first(first):
    (second,) = settle(make_job(2, "a b"), earlier=[first]).jobs
    assert settle(make_job(3, "a b"), earlier=[second, first]).remarks.keys() == {second.id}
    assert settle(make_job(3, "a"), earlier=[first, second]).jobs != []


def test_another_pipeline_on_the_same_images_is_another_result(first):
    other = replace(make_job(2, "a"), pipeline="another")
    assert settle(other, earlier=[first]).jobs != []


def test_what_an_operator_canceled_is_not_made_again_of_the_same_images(first):
    canceled = replace(first, state=State.CANCELED)
    assert settle(make_job(2, "a"), earlier=[canceled]).jobs == []


def test_when_retention_took_images_what_is_left_replaces_nothing(first):
    settled = settle_late([make_job(2, "b")], [first], has_gone=True)
    assert settled.jobs == []
    assert "keep.images" in settled.reason
    assert settle_late([make_job(2, "b", "head")], [first], has_gone=True).jobs != []


def test_a_job_that_failed_because_its_study_was_incomplete_is_made_again_of_the_same_images(first):
    failed = replace(first, state=State.FAILED, reason="IncompleteStudy: gave up waiting")
    assert settle(make_job(2, "a"), earlier=[failed]).jobs != []
    assert settle(make_job(2, "a"), earlier=[replace(failed, reason="TooFewSlices: 2")]).jobs == []


@pytest.mark.parametrize(("state", "made"), [(State.QUEUED, ["brain", "lesions"]), (State.ENCODED, ["brain"])])
def test_a_job_whose_predecessor_is_superseded_before_it_made_anything_cannot_be_the_last_word(state, made):
    brain, lesions = make_job(1, "a", "brain"), make_job(1, "b", "lesions", after="brain 1")
    before = [replace(brain, state=state), lesions]
    new = make_job(2, "a c", "brain"), make_job(2, "b", "lesions", Late.NEVER, after="brain 2")
    assert [job.route for job in settle(*new, earlier=before).jobs] == made


def test_a_job_that_comes_after_one_that_is_left_out_comes_after_the_earlier_one():
    before = settle(make_job(1, "a", "brain"), make_job(1, "b", "lesions", after="brain 1")).jobs
    settled = settle(make_job(2, "a", "brain"), make_job(2, "b c", "lesions", after="brain 2"), earlier=before)
    assert [(job.route, job.after) for job in settled.jobs] == [("lesions", "brain 1")]


def test_a_job_that_comes_after_a_new_one_is_new_though_its_own_images_are_the_same():
    before = settle(make_job(1, "a", "brain"), make_job(1, "b", "lesions", after="brain 1")).jobs
    settled = settle(make_job(2, "a d", "brain"), make_job(2, "b", "lesions", after="brain 2"), earlier=before)
    assert [(job.route, job.after) for job in settled.jobs] == [("brain", ""), ("lesions", "brain 2")]
