"""Label maps at PACS that no one here wrote: Orthanc takes them, storescp does not know them and gets BINARY."""

import shutil
import subprocess
import time
from threading import Event, Thread

import numpy as np
import pytest
from pydicom import dcmread

from node.config import Settings
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.ledger import SqlLedger
from node.model.job import State
from node.outbound.confirm import settle_jobs
from node.outbound.deliver import Deliverer
from node.outbound.outbox import put_objects
from pipelines.terms import Result
from tests.flow.orthanc import TITLE, Orthanc
from tests.jobs import JOB, add_job
from tests.ports import free_port
from tests.results import make_author, make_finding, make_segment
from tests.series import make_series, write_series
from workers.objects import Answer, encode_objects

SHAPE = (40, 64, 70)
SEGMENTS = 24
LABELMAP, BINARY = "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.66.4"


def make_result():
    """24 boxes side by side."""
    masks = np.zeros((SEGMENTS, *SHAPE), bool)
    for n, mask in enumerate(masks):
        row, column = 8 + 10 * (n // 6), 5 + 10 * (n % 6)
        mask[2:38, row : row + 8, column : column + 8] = True
    keys = [f"part-{n}" for n in range(SEGMENTS)]
    segments = tuple(make_segment(mask, key) for mask, key in zip(masks, keys, strict=True))
    return Result(segments, tuple(make_finding(key) for key in keys))


def deliver(folder, port, title, confirm):
    """The job's end, and the SOP classes and uids that were meant for the peer in the end."""
    peer = {"ae_title": title, "address": f"127.0.0.1:{port}", "segmentation": "labelmap", "confirm": confirm}
    settings = Settings.model_validate(
        {"node": {"home": folder / "home"}, "peers": {"pacs": peer}, "deliver": {"retry_first": "PT0.2S"}}
    )
    (stack,), _ = read_stacks(write_series(make_series(SHAPE), folder / "ct"))
    made = encode_objects(Answer(stack, load_volume(stack), make_result(), make_author()), settings.peers)
    ledger = SqlLedger(settings.ledger_url)
    add_job(ledger, study_uid=str(stack.first.StudyInstanceUID))
    objects = put_objects(settings.outbox, JOB.id, made.datasets, made.substitutes)
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects, shares=made.shares)
    stop = Event()
    thread = Thread(target=Deliverer("pacs", settings, ledger).run, args=(stop,))
    thread.start()
    patience = time.monotonic() + 30
    while time.monotonic() < patience and ledger.get_job(JOB.id).state not in {State.CONFIRMED, State.FAILED}:
        settle_jobs(ledger)
        time.sleep(0.05)
    stop.set()
    thread.join()
    kept = [d.object for d in ledger.find_deliveries(JOB.id) if d.state == "KEPT"]
    sizes = {item.sop_class_uid: (settings.outbox / item.path).stat().st_size for item in objects}
    return ledger.get_job(JOB.id), kept, sizes


def test_orthanc_keeps_the_label_map_and_the_report_that_names_it(tmp_path):
    orthanc = Orthanc(tmp_path / "orthanc", free_port(), free_port(), free_port())
    orthanc.start()
    try:
        job, kept, sizes = deliver(tmp_path, orthanc.dicom_port, TITLE, "query")
        instances = orthanc.get("/instances?expand")
        held = {instance["MainDicomTags"]["SOPInstanceUID"] for instance in instances}
    finally:
        orthanc.stop()
    assert job.state == State.CONFIRMED, job.reason
    assert kept[0].sop_class_uid == LABELMAP
    assert held == {item.sop_instance_uid for item in kept}
    assert sizes[BINARY] > 10 * sizes[LABELMAP]


def test_storescp_does_not_know_label_maps_and_gets_binary(tmp_path):
    program = shutil.which("storescp") or pytest.skip("dcmtk is not installed")
    port, stored = free_port(), tmp_path / "stored"
    stored.mkdir()
    with subprocess.Popen([program, "-od", str(stored), str(port)]) as process:
        try:
            time.sleep(0.5)
            job, kept, _ = deliver(tmp_path, port, "STORESCP", "none")
        finally:
            process.terminate()
    assert job.state == State.CONFIRMED, job.reason
    received = [dcmread(path) for path in stored.iterdir()]
    assert {ds.SOPInstanceUID for ds in received} == {item.sop_instance_uid for item in kept}
    segmentation = next(ds for ds in received if ds.SOPClassUID == BINARY)
    assert int(segmentation.pixel_array.sum()) == SEGMENTS * 36 * 8 * 8
