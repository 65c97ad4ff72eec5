"""With queue.url set the node uses that Redis and starts no broker of its own."""

import shutil
import subprocess

import pytest

from node.model.job import State
from tests.flow.house import House
from tests.ports import free_port


@pytest.fixture
def redis_url(tmp_path):
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


def test_a_study_makes_its_way_over_a_redis_that_is_not_ours(redis_url, make_study, tmp_path):
    home = House(tmp_path)
    home.environment["WETREAD_QUEUE__URL"] = redis_url
    home.start()
    try:
        study, _, files = make_study()
        home.send(files)
        (job,) = home.finish(study)
        assert job.state == State.CONFIRMED
        assert home.find_pids("-m workers")
        assert not home.find_pids("valkey-server")
    finally:
        home.close()
