"""kill -9 of every part in the middle of a study: it ends CONFIRMED once, with one result set."""

import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from node.errors import PeerUnreachable
from node.model.job import State

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def expect_one_result_set(house, study, seconds=60):
    (job,) = house.finish(study, seconds)
    assert job.state == State.CONFIRMED, job.reason
    objects = house.ledger.find_objects(job.id)
    assert [item.modality for item in objects] == ["SEG", "SR"]
    assert len(house.received(study)) == 2
    return job


def running(house, study):
    """The job of the study once a worker has it."""
    return house.wait_until(lambda: next(iter(house.ledger.find_jobs(study, [State.CLAIMED])), None), 30)


@pytest.fixture
def held(house):
    """Jobs of the pipeline stay at work until `go_on`."""
    house.wait_file.write_text("60")
    yield
    house.wait_file.unlink(missing_ok=True)


def go_on(house):
    house.wait_file.unlink()


def test_the_worker_and_all_its_children(house, make_study, held):
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    house.kill("-m workers")
    go_on(house)
    job = expect_one_result_set(house, study)
    assert job.attempt == 2


def test_the_worker_s_child_alone(house, make_study, held):
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    parents = house.find_pids("-m workers")
    children = subprocess.run(["pgrep", "-P", str(min(parents))], capture_output=True, text=True, check=True).stdout
    for pid in children.split():
        os.kill(int(pid), signal.SIGKILL)
    go_on(house)
    expect_one_result_set(house, study)


def test_the_broker_while_a_job_runs(house, make_study, held):
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    house.kill("valkey-server")
    house.wait_until(lambda: answers(house), 30)
    go_on(house)
    expect_one_result_set(house, study)


def answers(house):
    """Whether the node has a broker that answers."""
    found = re.search(r"[^\s:]*/broker\.sock", " ".join(house.find_processes("valkey-server").values()))
    try:
        return bool(found) and redis.Redis(unix_socket_path=found[0]).ping()
    except redis.RedisError:
        return False


def test_the_broker_just_when_a_job_ends(house, make_study, held):
    """The worker that could not acknowledge its ring hears the next one all the same."""
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    house.kill("valkey-server")
    go_on(house)
    expect_one_result_set(house, study)
    study, _, files = make_study(folder="next")
    house.send(files)
    expect_one_result_set(house, study)


def test_the_broker_wiped_before_the_job_is_taken(house, make_study):
    study, _, files = make_study()
    house.send(files)
    house.kill("valkey-server")
    shutil.rmtree(house.settings.node.home / "broker", ignore_errors=True)
    (house.settings.node.home / "broker").mkdir()
    expect_one_result_set(house, study)


def test_housekeeping_and_delivery(house, make_study, held):
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    house.kill("node.cli keep")
    go_on(house)
    expect_one_result_set(house, study)


def test_the_listener_while_images_arrive(house, make_study):
    study, slices, files = make_study(shape=(120, 64, 64))
    sender = threading.Thread(target=try_to_send, args=(house, files))
    sender.start()
    house.wait_until(lambda: len(house.ledger.find_instances(study)) >= 5, 20)
    house.kill("node.cli listen")
    sender.join(30)
    kept = {instance.sop_instance_uid for instance in house.ledger.find_instances(study)}
    assert 5 <= len(kept) < len(slices)
    house.wait_for_door()
    assert house.ledger.find_jobs(study) == []
    house.send(files)
    job = expect_one_result_set(house, study)
    assert job.version == 1
    assert len(house.ledger.find_instances(study)) == len(slices)


def try_to_send(house, files):
    """As a PACS does whose partner dies."""
    try:
        house.send(files)
    except (PeerUnreachable, AssertionError):
        return


def test_the_whole_node_at_once(house, make_study, held):
    study, _, files = make_study()
    house.send(files)
    running(house, study)
    pids = [house.process.pid, *house.find_pids("")]
    for pid in set(pids):
        os.kill(pid, signal.SIGKILL)
    house.process.wait()
    go_on(house)
    house.start()
    expect_one_result_set(house, study)


def test_the_supervisor_alone_takes_its_children_with_it(house, make_study):
    pids = house.find_pids("")
    house.process.kill()
    house.process.wait()
    house.wait_until(lambda: not any(is_alive(pid) for pid in pids), 60)
    house.start()
    study, _, files = make_study()
    house.send(files)
    expect_one_result_set(house, study)


def is_alive(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not any(line.startswith("State:") and "zombie" in line for line in lines)


def test_a_clean_stop_ends_with_zero_and_leaves_no_process(house):
    """The last of this file: the node stays stopped."""
    pids = house.find_pids("")
    assert house.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
