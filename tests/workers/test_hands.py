"""The worker's parent stays free of torch; the heartbeat keeps a lease and notices when it is gone; a job that goes
wrong is given back."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from threading import Event

import pytest

from node.ledger import SqlLedger
from node.model.delivery import Kind
from node.model.job import Gathering, Priority, State
from tests.jobs import JOB, add_job
from tests.series import make_series
from workers.device import pick_device
from workers.heartbeat import Heartbeat
from workers.process import refuse_job

OURS = replace(JOB, pipeline="threshold", deliver=(), series_uids=(), created_at=time.time())


def test_the_parent_of_the_pool_never_imports_torch(tmp_path):
    code = "import sys, workers.app; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    environment = dict(os.environ) | {"WETREAD_QUEUE__URL": "redis://nowhere", "WETREAD_NODE__HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_named_device_is_taken_as_it_is():
    assert pick_device("cpu", 3) == "cpu"


def test_a_heartbeat_extends_the_lease_until_it_is_left(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 1, time.time())
    with Heartbeat(ledger, job, 1.0, pytest.fail):
        once = wait_for_renewal(ledger, job.lease_until)
        twice = wait_for_renewal(ledger, once)
        assert ledger.find_overdue((once + twice) / 2, 0.0)[0] == []
    end = ledger.get_job(JOB.id).lease_until
    time.sleep(1.0)
    assert ledger.get_job(JOB.id).lease_until == end
    assert [lost.id for lost in ledger.find_overdue(end + 0.1, 0.0)[0]] == [JOB.id]
    ledger.close()


def wait_for_renewal(ledger, until):
    """When the lease ends, once that is later than `until`."""
    patience = time.monotonic() + 20
    while (renewed := ledger.get_job(JOB.id).lease_until) <= until:
        assert time.monotonic() < patience, "the lease is not renewed"
        time.sleep(0.02)
    return renewed


def test_a_heartbeat_says_when_the_job_was_canceled(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 9, time.time())
    lost = Event()
    with Heartbeat(ledger, job, 0.1, lost.set):
        ledger.move_job(job, State.CANCELED, time.time(), "operator")
        assert lost.wait(5)
    ledger.close()


def keep_series(node):
    return node.keep(make_series((4, 6, 7), StudyInstanceUID=OURS.study_uid))


def block_outbox(node):
    """A file where the outbox should be: nothing can be written there, whoever we are."""
    node.settings.outbox.parent.mkdir(parents=True, exist_ok=True)
    node.settings.outbox.write_bytes(b"")
    return node.settings.outbox


def test_an_outbox_that_cannot_be_written_is_named_and_tried_again(node):
    keep_series(node)
    outbox = block_outbox(node)
    (job,) = node.run(OURS)
    assert job.state == State.QUEUED
    text = node.ledger.find_history(OURS.id)[-1].text
    assert text == "OutboxUnwritable: the results cannot be written: Not a directory"
    outbox.unlink()
    assert node.hands.answer("gpu") == "encoded"
    assert node.ledger.get_job(OURS.id).state == State.ENCODED


def test_an_outbox_that_stays_unwritable_fails_the_job_by_name(node):
    keep_series(node)
    block_outbox(node)
    node.run(OURS)
    for _ in range(node.settings.work.attempts - 1):
        node.hands.answer("gpu")
    job = node.ledger.get_job(OURS.id)
    assert (job.state, job.attempt) == (State.FAILED, node.settings.work.attempts)
    assert job.reason.startswith("OutboxUnwritable: ")


def test_a_refusal_that_cannot_be_written_leaves_the_job_failed_by_its_own_name(node):
    keep_series(node)
    block_outbox(node)
    (job,) = node.run(replace(OURS, gathering=Gathering.MISSING))
    assert (job.state, job.reason.split(":")[0]) == (State.FAILED, "PriorMissing")
    assert node.ledger.find_objects(OURS.id) == []


def test_a_destination_that_wants_pictures_gets_one_that_says_that_it_did_not_run(node):
    keep_series(node)
    peer = node.settings.peers["pacs"]
    peers = {"pacs": peer, "screen": peer.model_copy(update={"objects": (Kind.CAPTURE,)})}
    settings = node.settings.model_copy(update={"peers": peers})
    job = replace(OURS, deliver=("pacs", "screen", "gone"))
    objects, shares = refuse_job(job, settings, node.ledger, "PriorMissing", "none came")
    assert [item.modality for item in objects] == ["SR", "OT"]
    report, picture = (item.sop_instance_uid for item in objects)
    assert shares == {"pacs": [report], "screen": [report, picture], "gone": [report]}


def test_a_refusal_is_made_of_the_images_that_are_left(node):
    paths = keep_series(node)
    paths[0].unlink()
    (job,) = node.run(replace(OURS, gathering=Gathering.MISSING))
    assert (job.state, job.reason.split(":")[0]) == (State.FAILED, "PriorMissing")
    assert [item.modality for item in node.ledger.find_objects(OURS.id)] == ["SR"]
    for path in paths[1:]:
        path.unlink()
    assert refuse_job(job, node.settings, node.ledger, "PriorMissing", "none came") == ([], {})


@pytest.mark.parametrize(
    ("device", "why", "careful"),
    [
        ("cuda:0", "OutOfMemory: of the device", True),
        ("cuda:0", "OutOfTime: 60 s", True),
        ("cuda:0", "WorkerLost: no heartbeat", True),
        ("cpu", "OutOfMemory: of the device", True),
        ("cpu", "OutOfTime: 60 s", True),
        ("cpu", "WorkerLost: no heartbeat", False),
    ],
)
def test_what_ran_out_of_memory_stays_careful_whatever_else_happens_while_it_waits(node, device, why, careful):
    keep_series(node)
    node.hands.warm.device = device
    study = node.ledger.find_study(OURS.study_uid)
    assert node.ledger.close_study(study, time.time(), "complete", "", [OURS])
    job = node.ledger.claim_job(OURS.id, "w", time.time() + 9, time.time())
    assert node.hands._pick_models(job) is node.hands.warm
    station = "housekeeping" if why.startswith("WorkerLost") else "run"
    waiting = node.ledger.move_job(job, State.QUEUED, time.time(), station, why)
    node.ledger.set_priority(waiting, Priority.STAT, time.time())
    again = node.ledger.claim_job(OURS.id, "w", time.time() + 9, time.time())
    assert again.attempt == 2
    assert node.hands._pick_models(again) is (node.hands._careful if careful else node.hands.warm)
