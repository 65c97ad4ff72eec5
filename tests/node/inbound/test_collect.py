"""Images that a workitem reads and that are not here are fetched from where it says, and from nowhere else."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO

from node import wiring
from node.config import Settings
from node.inbound.enqueue import Enqueuer
from node.ledger.gathering import SUBMITTED
from node.rounds import keep_going
from node.worklist import Worklist
from node.worklist.mirror import Mirror
from tests.node.inbound.test_gather import OddArchive
from tests.node.inbound.test_submit import Bell
from tests.ports import free_port
from tests.series import make_series
from tests.workitems import make_code, make_workitem

STUDY, UID = "1.2.3.88", "1.2.826.8.1"
ROUTES = [
    {"name": "lungs", "when": {"Modality": "MR"}, "pipeline": "lung-seg"},
    {"name": "every CT", "when": {"Modality": "CT"}, "pipeline": "series-kind"},
]


class Files:
    """A server that gives these slices at one address of WADO-RS, and nothing elsewhere."""

    def __init__(self, slices):
        self.asked = []
        body = b"".join(b"--b0\r\nContent-Type: application/dicom\r\n\r\n" + encode(one) + b"\r\n" for one in slices)
        files = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                files.asked.append((self.path, self.headers.get("Authorization")))
                found = self.path == "/store/x?study=1"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=b0')
                self.end_headers()
                self.wfile.write(body + b"--b0--\r\n" if found else b"")

            def log_message(self, *_):
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.root = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def encode(one):
    buffer = DicomBytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class Bench:
    """What a node's keeper does about a workitem, one round after the other in this thread."""

    def __init__(self, folder, **peers):
        self.settings = Settings.model_validate(
            {"node": {"home": folder, "listen": f"127.0.0.1:{free_port()}"}, "listen": {"min_free_mb": 0}}
            | {"completeness": {"quiet": "PT0.2S", "broken": "PT0.2S", "give_up": "PT20S"}}
            | {"peers": peers, "routes": ROUTES}
        )
        self.ledger, spool = wiring.open_ledger(self.settings), wiring.open_spool(self.settings)
        self.worklist = Worklist(self.settings.node.home)
        self.enqueuer = Enqueuer(self.settings, self.ledger, Bell())
        self.mirror = Mirror(self.settings, self.ledger, self.worklist)
        self.collector = wiring.make_collector(self.settings, self.ledger, spool, self.worklist)
        self.collector._door.start()

    def close(self):
        self.collector._door.stop()
        self.worklist.close()
        self.ledger.close()

    def create(self, inputs, **changes):
        code = make_code("lung-seg", "99WETREAD", "lungs")
        request = make_workitem(
            ScheduledWorkitemCodeSequence=[code], InputInformationSequence=inputs, StudyInstanceUID=STUDY, **changes
        )
        self.worklist.create(request, time.time(), UID)

    def go_on(self, is_so, patience=30):
        stop, over = Event(), time.monotonic() + patience

        def step(now):
            self.collector.tick(now)
            self.enqueuer.close_complete(now)
            self.mirror.tick(now)
            if is_so() or time.monotonic() > over:
                stop.set()

        keep_going("the bench", step, 0.02, stop)
        assert is_so()

    def get_told(self):
        model = json.loads(self.worklist.get(UID).model)
        items = model["00741002"].get("Value", [{}])
        return items[0].get("00741006", {}).get("Value", [""])[0]

    def jobs(self):
        return [(job.pipeline, job.series_uids) for job in self.ledger.find_jobs(STUDY)]


def refer(slices, *, titles=(), urls=(), whole=False):
    item = Dataset()
    item.TypeOfInstances, item.StudyInstanceUID = "DICOM", STUDY
    if not whole:
        item.SeriesInstanceUID = slices[0].SeriesInstanceUID
        item.ReferencedSOPSequence = []
        for one in slices:
            reference = Dataset()
            reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
            item.ReferencedSOPSequence.append(reference)
    item.DICOMRetrievalSequence, item.WADORSRetrievalSequence = [], []
    for title in titles:
        item.DICOMRetrievalSequence.append(Dataset())
        item.DICOMRetrievalSequence[-1].RetrieveAETitle = title
    for url in urls:
        item.WADORSRetrievalSequence.append(Dataset())
        item.WADORSRetrievalSequence[-1].RetrieveURL = url
    return item


@pytest.fixture
def slices():
    return make_series((4, 16, 18), StudyInstanceUID=STUDY, SeriesInstanceUID=STUDY + ".1", BodyPartExamined="CHEST")


@pytest.fixture
def run(tmp_path, slices):
    """run(peers made of the archive's port and the server's root) -> (bench, archive, files)."""
    archive, files, benches = OddArchive(slices), Files(slices), []

    def start(**more):
        odd = {
            "ae_title": "ODD",
            "address": f"127.0.0.1:{archive.port}",
            "query": True,
            "retrieve": "get",
            "send": True,
        }
        web = {"dicomweb": files.root + "/dicom-web"}
        benches.append(Bench(tmp_path, odd=odd | more, web=web))
        return benches[-1], archive, files

    yield start
    for one in benches:
        one.close()
    archive.stop()
    files.stop()


@pytest.mark.parametrize("whole", [False, True], ids=["named images", "a whole study"])
def test_images_are_fetched_from_the_retrieve_ae_and_read_by_the_named_pipeline_alone(run, slices, whole):
    bench, _, files = run()
    bench.create([refer(slices, titles=["NOBODY", "ODD"], whole=whole)])
    bench.go_on(bench.jobs)
    assert bench.jobs() == [("lung-seg", (STUDY + ".1",))]
    study = bench.ledger.find_study(STUDY)
    assert (study.evidence, study.reason) == (SUBMITTED, "")
    assert files.asked == []


def test_images_are_fetched_from_the_very_address_that_the_workitem_names(run, slices):
    bench, archive, files = run()
    bench.create([refer(slices, urls=[files.root + "/store/x?study=1"], titles=["ODD"])])
    bench.go_on(bench.jobs)
    assert [path for path, _ in files.asked] == ["/store/x?study=1"]
    assert archive.asked == []
    assert bench.jobs() == [("lung-seg", (STUDY + ".1",))]


def test_an_address_that_fails_is_not_the_last_place(run, slices):
    bench, _, files = run()
    bench.create([refer(slices, urls=[files.root + "/store/gone"], titles=["ODD"])])
    bench.go_on(bench.jobs)
    assert len(files.asked) == 1


def test_only_peers_are_asked_and_the_workitem_says_what_it_waits_for(run, slices, caplog):
    bench, archive, files = run(query=False)
    other = Files(slices)
    bench.create([refer(slices, urls=[other.root + "/store/x?study=1"], titles=["ODD"])])
    bench.go_on(lambda: bench.get_told().startswith("it waits"))
    assert bench.get_told() == "it waits for its images: its WADO-RS address is on no server that is a peer's dicomweb"
    other.stop()
    assert (other.asked, files.asked, archive.asked, bench.jobs()) == ([], [], [], [])
    assert "store" not in caplog.text


def test_what_is_not_for_us_or_not_ready_is_not_fetched(run, slices):
    bench, archive, _ = run()
    bench.create([refer(slices, titles=["ODD"])], InputReadinessState="INCOMPLETE")
    for _ in range(5):
        bench.collector.tick(time.time())
    assert not bench.collector._under_way
    assert archive.asked == []
    ready = Dataset()
    ready.InputReadinessState = "READY"
    bench.worklist.update(UID, ready, time.time())
    bench.go_on(bench.jobs)
