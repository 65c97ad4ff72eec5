"""The worker's parent stays free of torch; the heartbeat keeps a lease and notices when it is gone."""

import os
import subprocess
import sys
import time
from threading import Event

import pytest

from node.ledger import SqlLedger
from node.model.job import State
from tests.jobs import JOB, add_job
from workers.device import pick_device
from workers.heartbeat import Heartbeat


def test_the_parent_of_the_pool_never_imports_torch(tmp_path):
    code = "import sys, workers.app; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    environment = dict(os.environ) | {"WETREAD_QUEUE__URL": "redis://nowhere", "WETREAD_NODE__HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_named_device_is_taken_as_it_is():
    assert pick_device("cpu", 3) == "cpu"


def test_a_heartbeat_extends_the_lease_until_it_is_left(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 0.3, time.time())
    with Heartbeat(ledger, job, 0.3, pytest.fail):
        time.sleep(1.0)
        assert ledger.find_overdue(time.time(), 0.0)[0] == []
    time.sleep(0.5)
    assert [lost.id for lost in ledger.find_overdue(time.time(), 0.0)[0]] == [JOB.id]
    ledger.close()


def test_a_heartbeat_says_when_the_job_was_canceled(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    add_job(ledger)
    job = ledger.claim_job(JOB.id, "w", time.time() + 9, time.time())
    lost = Event()
    with Heartbeat(ledger, job, 0.1, lost.set):
        ledger.move_job(job, State.CANCELED, time.time(), "operator")
        assert lost.wait(5)
    ledger.close()
