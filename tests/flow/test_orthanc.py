"""Orthanc as the PACS: it routes what a modality sends it to a node, and gets the results back, once."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node import wiring
from node.config import load_settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import FINAL, State
from node.outbound.echo import echo
from tests.flow.orthanc import TITLE, Orthanc
from tests.ports import free_port
from tests.series import make_series, write_series
from tests.waiting import wait_until

pytestmark = pytest.mark.judge

TOML = """\
[node]
listen = "127.0.0.1:{door}"
home = "home"

[listen]
unknown_callers = "none"
min_free_mb = 64

[completeness]
quiet = "PT3S"

[deliver]
retry_first = "PT0.5S"
retry_longest = "PT1S"

[web]
listen = "127.0.0.1:{web}"

[peers.pacs]
ae_title = "{title}"
address = "127.0.0.1:{pacs}"
send = true
confirm = "commitment"

[[routes]]
name = "chest CT"
from = ["pacs"]
when = {{ Modality = "CT" }}
pipeline = "lung-seg"
deliver = ["pacs"]

[[routes]]
name = "head MR"
from = ["pacs"]
when = {{ Modality = "MR" }}
pipeline = "brain-extract"
deliver = ["pacs"]
"""


@dataclass
class Pair:
    """A PACS and a node that know each other."""

    pacs: Orthanc
    ledger: Ledger

    def find_jobs(self, study_uid):
        return self.ledger.find_jobs(study_uid=study_uid)

    def wait_for(self, study_uid, *states, patience=180):
        """The only job of the study once it is in one of `states`."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            jobs = self.find_jobs(study_uid)
            if jobs and jobs[0].state in states:
                (job,) = jobs
                return job
            assert not (jobs and jobs[0].state in FINAL), jobs
            time.sleep(0.1)
        raise AssertionError(f"no job in {states} after {patience} s, but {self.find_jobs(study_uid)}")

    def assert_nothing_moves(self, study_uid, counts):
        """The PACS is at rest, and stays so for longer than it and the node wait before they act on something new."""
        assert wait_until(lambda: self.pacs.is_at_rest(study_uid), 60)
        before = [transfer["ID"] for transfer in self.pacs.find_transfers()]
        time.sleep(3)
        assert self.pacs.is_at_rest(study_uid)
        assert self.pacs.count(study_uid) == counts
        assert [transfer["ID"] for transfer in self.pacs.find_transfers()] == before
        assert [job.state for job in self.find_jobs(study_uid)] == [State.CONFIRMED]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """One Orthanc and one `wetread up` for the tests of this module, both as processes."""
    folder = tmp_path_factory.mktemp("pair")
    door, web, dicom, http = (free_port() for _ in range(4))
    pacs = Orthanc(folder / "orthanc", dicom, http, door)
    pacs.start()
    config = folder / "wetread.toml"
    config.write_text(TOML.format(door=door, web=web, pacs=dicom, title=TITLE), "utf-8")
    try:
        with run_node(config, folder / "node.log", door):
            yield Pair(pacs, wiring.open_ledger(load_settings(config, {})))
    finally:
        pacs.stop()


def test_a_head_mr_comes_back_to_orthanc_as_one_segmentation_and_one_report(pair, real_data):
    source = real_data / "mr_brain_VS-SEG-001"
    study_uid = str(dcmread(next(source.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID)
    before = len(pair.pacs.find_transfers())

    pair.pacs.take(source, ["-xt"])  # the files are JPEG-LS
    job = pair.wait_for(study_uid, State.CONFIRMED)

    assert_committed(pair, job, {"SEG", "SR"})
    pair.assert_nothing_moves(study_uid, {"MR": 120, "SEG": 1, "SR": 1})
    assert len(pair.pacs.find_transfers()) == before + 1


def test_a_ct_without_lungs_comes_back_to_orthanc_as_a_report_alone(pair, tmp_path):
    study_uid = write_ct(tmp_path)
    before = len(pair.pacs.find_transfers())

    pair.pacs.take(tmp_path)
    job = pair.wait_for(study_uid, State.CONFIRMED)

    assert_committed(pair, job, {"SR"})
    pair.assert_nothing_moves(study_uid, {"CT": 40, "SR": 1})
    assert len(pair.pacs.find_transfers()) == before + 1


def test_a_result_waits_for_an_orthanc_that_was_killed_and_is_delivered_once(pair, tmp_path):
    study_uid = write_ct(tmp_path)
    before = len(pair.pacs.find_transfers())

    pair.pacs.take(tmp_path)
    assert wait_until(lambda: [job["State"] for job in pair.pacs.find_transfers()][before:] == ["Success"], 60)
    pair.pacs.kill()  # the node has the images by now, and still waits whether more will come
    job = pair.wait_for(study_uid, State.ENCODED)
    assert wait_until(lambda: all(d.attempts >= 2 for d in pair.ledger.find_deliveries(job.id)), 60)
    assert {d.state for d in pair.ledger.find_deliveries(job.id)} == {DeliveryState.PENDING}
    pair.pacs.start()
    job = pair.wait_for(study_uid, State.CONFIRMED)

    assert_committed(pair, job, {"SR"})
    pair.assert_nothing_moves(study_uid, {"CT": 40, "SR": 1})


def assert_committed(pair, job, modalities):
    """Every object of the job was committed to by the PACS, which holds it under its own uid."""
    deliveries = pair.ledger.find_deliveries(job.id)
    assert {d.object.modality for d in deliveries} == modalities
    assert len(deliveries) == len(modalities)
    assert [(d.state, d.answer) for d in deliveries] == [(DeliveryState.KEPT, "committed")] * len(deliveries)
    for delivery in deliveries:
        assert len(pair.pacs.post("/tools/lookup", delivery.object.sop_instance_uid)) == 1


def write_ct(folder):
    """A water bath of 120 mm: a CT in which there is no lung. Returns the Study Instance UID."""
    _, rows, columns = np.mgrid[-1:1:40j, -1:1:64j, -1:1:64j]
    voxels = np.where(rows**2 + columns**2 < 0.6, 1024, 24).astype(np.int16)
    study, series, frame = (str(generate_uid()) for _ in range(3))
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": frame}
    write_series(make_series(spacing=(3.0, 2.4, 2.4), voxels=voxels, **uids), folder)
    return study


@contextmanager
def run_node(config, log, door):
    """`wetread up` from answering its door to its orderly end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WETREAD_")}
    command = [sys.executable, "-m", "node.cli", "up", "--config", str(config)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)
    try:
        assert wait_until(lambda: process.poll() is not None or is_open(door), 60)
        assert process.poll() is None, log.read_text("utf-8", "replace")[-2000:]
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_open(door):
    try:
        echo(TITLE, ("127.0.0.1", door), "WETREAD")
    except PeerUnreachable:
        return False
    return True
