"""What a later version makes of the earlier ones: canceled or superseded, and named where they reached anybody."""

import pytest

from node.ledger import SqlLedger
from node.ledger.versions import find_predecessors
from node.model.delivery import DeliveryState, Kind, ResultObject
from node.model.job import Late, State
from tests.jobs import JOB, add_instance, add_study, make_instance

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture
def ledger(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


def make(version=1, **changes):
    fields = {name: getattr(JOB, name) for name in JOB.__slots__}
    made = {"id": f"{version:032x}", "version": version, "created_at": 1000.0 * version}
    return JOB.__class__(**fields | made | changes)


def add_version(ledger, *jobs):
    """The next version of the study, closed with `jobs`."""
    version = jobs[0].version
    add_study(ledger) if version == 1 else add_instance(ledger, make_instance(version, at=1000.0 * version))
    (study,) = ledger.find_studies()
    assert study.version == version
    assert ledger.close_study(study, 1000.0 * version, "complete", "", jobs)
    return ledger.get_job(jobs[0].id)


def make_objects(version):
    return [
        ResultObject(f"2.25.{version}1", SEG, "SEG", "j/1.dcm", Kind.SEGMENTATION, "", "2.25.8", "2.25.9"),
        ResultObject(f"2.25.{version}2", SR, "SR", "j/2.dcm", Kind.REPORT, "", "2.25.7"),
    ]


def encode(ledger, job):
    claimed = ledger.claim_job(job.id, "w", 9e9, 1500.0)
    return ledger.move_job(claimed, State.ENCODED, 1500.0, "encode", objects=make_objects(job.version))


def send(ledger, job, count):
    for delivery in ledger.find_deliveries(job.id)[:count]:
        assert ledger.move_delivery(delivery, DeliveryState.SENT, "0x0000", 0.0)


def refuse(ledger, job):
    """FAILED, with a notice that it did not run on its way to the destination."""
    claimed = ledger.claim_job(job.id, "w", 9e9, 1500.0)
    notice = [ResultObject(f"2.25.{job.version}3", SR, "SR", "j/3.dcm", Kind.REPORT, "", "2.25.6")]
    return ledger.move_job(claimed, State.FAILED, 1500.0, "run", "TooFewSlices: 2", objects=notice)


def confirm(ledger, job):
    send(ledger, job, 2)
    for state in (State.DELIVERED, State.CONFIRMED):
        job = ledger.move_job(job, state, 1600.0, "deliver")
    return job


def name(predecessors):
    return [(one.sop_instance_uid, one.version) for one in predecessors]


def test_a_confirmed_job_stays_confirmed_and_says_which_job_supersedes_it(ledger):
    confirm(ledger, encode(ledger, add_version(ledger, make(1))))
    second = add_version(ledger, make(2))
    first = ledger.get_job(make(1).id)
    assert (first.state, first.superseded_by) == (State.CONFIRMED, second.id)
    assert name(find_predecessors(second, ledger)) == [("2.25.12", 1), ("2.25.11", 1)]
    found = find_predecessors(second, ledger)[1]
    assert (found.series_uid, found.frame_of_reference_uid, found.began) == ("2.25.8", "2.25.9", 1000.0)


@pytest.mark.parametrize("step", ["queued", "claimed", "encoded"])
def test_a_job_that_reached_nobody_is_canceled_and_is_no_predecessor(ledger, step):
    first = add_version(ledger, make(1))
    if step == "claimed":
        ledger.claim_job(first.id, "w", 9e9, 1500.0)
    if step == "encoded":
        encode(ledger, first)
    second = add_version(ledger, make(2))
    assert ledger.get_job(first.id).state == State.CANCELED
    assert ledger.find_deliveries(first.id) == []
    assert find_predecessors(second, ledger) == ()


def test_of_a_job_that_is_being_delivered_what_was_sent_is_the_predecessor_and_the_rest_stays_here(ledger):
    first = encode(ledger, add_version(ledger, make(1)))
    send(ledger, first, 1)
    second = add_version(ledger, make(2))
    assert ledger.get_job(first.id).state == State.CANCELED
    assert [d.object.modality for d in ledger.find_deliveries(first.id)] == ["SEG"]
    assert name(find_predecessors(second, ledger)) == [("2.25.11", 1)]


def test_an_object_that_was_on_its_way_while_its_job_was_canceled_is_a_predecessor_too(ledger):
    first = encode(ledger, add_version(ledger, make(1)))
    on_its_way, waiting = ledger.find_deliveries(first.id)
    second = add_version(ledger, make(2))
    assert ledger.move_delivery(on_its_way, DeliveryState.SENT, "0x0000", 0.0)
    assert not ledger.move_delivery(waiting, DeliveryState.REFUSED, "0xA900", 0.0)
    assert [(d.state, d.answer) for d in ledger.find_deliveries(first.id)] == [(DeliveryState.SENT, "0x0000")]
    assert name(find_predecessors(second, ledger)) == [("2.25.11", 1)]


def test_that_a_version_did_not_run_is_not_said_any_more_once_there_is_a_later_one(ledger):
    first = refuse(ledger, add_version(ledger, make(1)))
    second = encode(ledger, add_version(ledger, make(2)))
    assert ledger.find_deliveries(first.id) == []
    assert {one.job_id for one in ledger.find_deliveries(states=[DeliveryState.PENDING])} == {second.id}
    assert ledger.get_job(first.id).state == State.FAILED


def test_a_notice_that_was_on_its_way_when_its_job_was_superseded_is_known_and_is_not_sent_again(ledger):
    first = refuse(ledger, add_version(ledger, make(1)))
    (notice,) = ledger.find_deliveries(first.id)
    second = add_version(ledger, make(2))
    assert ledger.move_delivery(notice, DeliveryState.SENT, "0x0000", 0.0)
    assert name(find_predecessors(second, ledger)) == [("2.25.13", 1)]
    (sent,) = ledger.find_deliveries(first.id)
    assert ledger.move_delivery(sent, DeliveryState.PENDING, "commitment denied", 0.0)
    (left,) = ledger.find_deliveries(first.id)
    assert (left.state, "superseded" in left.answer) == (DeliveryState.REFUSED, True)


def test_what_always_leaves_alone_says_that_it_did_not_run(ledger):
    first = refuse(ledger, add_version(ledger, make(1, late=Late.ALWAYS)))
    add_version(ledger, make(2, late=Late.ALWAYS))
    assert len(ledger.find_deliveries(first.id, states=[DeliveryState.PENDING])) == 1


def test_of_each_kind_the_latest_version_that_reached_anybody_counts(ledger):
    confirm(ledger, encode(ledger, add_version(ledger, make(1))))
    second = encode(ledger, add_version(ledger, make(2)))
    send(ledger, second, 1)
    third = add_version(ledger, make(3))
    found = find_predecessors(third, ledger)
    assert name(found) == [("2.25.12", 1), ("2.25.21", 2)]
    assert {one.began for one in found} == {1000.0}, "the series was begun by the first version"


def test_without_destinations_a_confirmed_job_counts(ledger):
    first = encode(ledger, add_version(ledger, make(1, deliver=())))
    for state in (State.DELIVERED, State.CONFIRMED):
        first = ledger.move_job(first, state, 1600.0, "deliver")
    assert name(find_predecessors(add_version(ledger, make(2, deliver=())), ledger)) == [("2.25.12", 1), ("2.25.11", 1)]


def test_always_leaves_the_earlier_result_and_its_job_alone(ledger):
    first = add_version(ledger, make(1, late=Late.ALWAYS))
    second = add_version(ledger, make(2, late=Late.ALWAYS))
    first = ledger.get_job(first.id)
    assert (first.state, first.superseded_by) == (State.QUEUED, "")
    confirm(ledger, encode(ledger, first))
    assert find_predecessors(second, ledger) == ()


def test_jobs_of_other_routes_are_left_alone(ledger):
    other = make(1, id="a" * 32, route="head MR")
    add_version(ledger, make(1), other)
    add_version(ledger, make(2))
    assert ledger.get_job(other.id).state == State.QUEUED


def test_why_late_images_made_no_job_stands_in_the_history_of_the_earlier_one(ledger):
    first = add_version(ledger, make(1))
    add_instance(ledger, make_instance(2, at=2000.0))
    (study,) = ledger.find_studies()
    assert ledger.close_study(study, 2001.0, "complete", "", [], {first.id: "unchanged"})
    last = ledger.find_history(first.id)[-1]
    assert (last.state, last.station, last.text) == (State.QUEUED, "match", "unchanged")
    assert ledger.get_job(first.id).state == State.QUEUED
