"""Complete by evidence, against a real Orthanc: it is asked how much it has, and a study closes when all of it is here.

The quiet time of the node is so long that no study of these tests closes by it. No worker runs: what one would make is
put into the outbox by hand.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context

from node import wiring
from node.config import Settings, load_settings
from node.dicom.report import encode_refusal
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION, STUDY_ROOT_FIND
from node.ledger import Ledger
from node.model.expectation import Count, Question
from node.model.job import State
from node.model.study import StudyState
from node.outbound.count_find import count_by_find
from node.outbound.count_qido import count_by_qido
from node.outbound.outbox import put_objects
from node.outbound.reactor import hold_reactor
from node.outbound.send import send_files
from node.outbound.store import associate
from node.security.web_client import make_web_client
from tests.flow.orthanc import TITLE, Orthanc
from tests.ports import free_port
from tests.results import make_author
from tests.series import make_series, write_series
from tests.waiting import wait_until

pytestmark = pytest.mark.judge

TOML = """\
[node]
listen = "127.0.0.1:{door}"
home = "home"

[listen]
min_free_mb = 64

[completeness]
quiet = "PT2M"
give_up = "PT10M"

[queue]
url = "memory://"

[deliver]
retry_first = "PT0.5S"

[peers.pacs]
ae_title = "{title}"
address = "127.0.0.1:{pacs}"
dicomweb = "http://127.0.0.1:{http}/dicom-web"
deliver_by = "dicom"
send = true
count_by = "{count_by}"
confirm = "commitment"

[[routes]]
name = "CT"
when = {{ Modality = "CT" }}
pipeline = "lung-seg"
deliver = ["pacs"]
"""


@dataclass
class Pair:
    """An Orthanc that routes to a node, and the node that counts there."""

    pacs: Orthanc
    settings: Settings
    ledger: Ledger
    door: int

    def find(self, study_uid):
        return next((study for study in self.ledger.find_studies() if study.study_uid == study_uid), None)

    def wait_for(self, study_uid, is_so):
        """The study once it is so."""
        assert wait_until(lambda: self.find(study_uid) and is_so(self.find(study_uid)), 60)
        return self.find(study_uid)

    def send(self, paths, caller="SCANNER"):
        """Straight to the node, past the PACS."""
        sent = send_files(paths, caller, ("127.0.0.1", self.door), "WETREAD", lambda *_: None)
        assert not sent.refused

    def count_ct(self, study_uid):
        """What Orthanc says of the CT series alone, by C-FIND and by QIDO-RS alike."""
        peer, question = self.settings.peers["pacs"], Question(study_uid, 0.0, 0, frozenset())
        with associate("WETREAD", (peer.host, peer.port), TITLE, [build_context(STUDY_ROOT_FIND)]) as association:
            found = count_by_find(association, question, frozenset({"CT"}))
        with make_web_client(peer.web, 10.0) as client:
            assert count_by_qido(client, peer.dicomweb, question, frozenset({"CT"})) == found
        return found

    def finish(self, study_uid):
        """The study's only job as a worker would leave it, delivered and committed to: its result is one report."""
        (job,) = self.ledger.find_jobs(study_uid)
        headers = [dcmread(self.settings.spool / one.path) for one in self.ledger.find_instances(study_uid)]
        report = encode_refusal(headers, make_author(), "MissingSlices", "a plane is missing")
        job = self.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
        objects = put_objects(self.settings.outbox, job.id, [report])
        self.ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
        assert wait_until(lambda: self.ledger.get_job(job.id).state == State.CONFIRMED, 60)


@contextmanager
def run_pair(folder, count_by):
    """A listener and housekeeping in this process, Orthanc in its own."""
    door, dicom, http = (free_port() for _ in range(3))
    config = folder / "wetread.toml"
    config.write_text(TOML.format(title=TITLE, count_by=count_by, door=door, pacs=dicom, http=http), "utf-8")
    settings = load_settings(config, {})
    pacs = Orthanc(folder / "orthanc", dicom, http, door)
    pacs.start()
    listener, stop = wiring.make_listener(settings), Event()
    listener.start()
    keeping = Thread(target=wiring.run_keeping, args=(settings, stop))
    keeping.start()
    try:
        yield Pair(pacs, settings, wiring.open_ledger(settings), door)
    finally:
        stop.set()
        pacs.stop()
        listener.stop()
        keeping.join()


@pytest.fixture(scope="module", params=["query", "qido"])
def pair(request, tmp_path_factory):
    with run_pair(tmp_path_factory.mktemp(request.param), request.param) as pair:
        yield pair


def make_ct(folder, count=40, series="1", study="", **changes):
    """A water bath without lungs, as files; returns the Study Instance UID."""
    _, rows, columns = np.mgrid[-1 : 1 : count * 1j, -1:1:64j, -1:1:64j]
    voxels = np.where(rows**2 + columns**2 < 0.6, 1024, 24).astype(np.int16)
    study = study or str(generate_uid(prefix=None))
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}", "FrameOfReferenceUID": f"{study}.9"}
    write_series(make_series(spacing=(3.0, 2.4, 2.4), voxels=voxels, **uids | changes), folder)
    return study


def measure(pair, study_uid):
    """Seconds from the end of the last association to the study's end."""
    study = pair.find(study_uid)
    return study.closed_at - max(ended for _, _, ended, _ in pair.ledger.find_associations(study_uid))


def test_a_study_is_closed_soon_after_its_last_release_when_the_counts_agree(pair, tmp_path):
    study_uid = make_ct(tmp_path)
    pair.pacs.take(tmp_path)
    study = pair.wait_for(study_uid, lambda study: study.state == StudyState.COMPLETE)
    assert study.evidence.startswith("complete: pacs counts 40 instances, all are here (associations 1 released")
    seconds = measure(pair, study_uid)
    print(f"release to decision: {seconds:.3f} s")
    assert seconds < pair.settings.completeness.quiet.total_seconds() / 2


def test_a_count_beyond_what_came_is_waited_for_by_name_and_closed_when_the_rest_comes(pair, tmp_path):
    study_uid = make_ct(tmp_path / "mr", 3, "2", Modality="OT")  # the routing of this PACS takes CT and MR alone
    make_ct(tmp_path / "ct", 10, "1", study_uid)
    pair.pacs.take(tmp_path / "mr")
    pair.pacs.take(tmp_path / "ct")
    waiting = pair.wait_for(study_uid, lambda study: "counts" in study.waits)
    assert waiting.waits == "waits: pacs counts 13 instances, 10 are here"
    assert pair.count_ct(study_uid) == Count(10, (f"{study_uid}.1",))
    pair.send(sorted((tmp_path / "mr").iterdir()))
    closed = pair.wait_for(study_uid, lambda study: study.state == StudyState.COMPLETE)
    assert "pacs counts 13 instances, all are here" in closed.evidence


def test_results_that_went_to_the_pacs_do_not_hide_that_the_next_version_is_complete(pair, tmp_path):
    study_uid = make_ct(tmp_path / "first", 20)
    pair.pacs.take(tmp_path / "first")
    pair.wait_for(study_uid, lambda study: study.state == StudyState.COMPLETE)
    pair.finish(study_uid)
    assert pair.pacs.count(study_uid) == {"CT": 20, "SR": 1}
    make_ct(tmp_path / "late", 5, "2", study_uid)
    pair.pacs.take(tmp_path / "late")
    study = pair.wait_for(study_uid, lambda study: study.version == 2 and study.state == StudyState.COMPLETE)
    assert study.evidence.startswith("complete: pacs counts 25 instances, all are here")


def test_a_study_that_was_announced_closes_when_its_last_instance_came(pair, tmp_path):
    study_uid = make_ct(tmp_path, 6)
    paths = sorted(tmp_path.iterdir())
    announce(pair.door, study_uid, paths)
    pair.send(paths[:4])
    waiting = pair.wait_for(study_uid, lambda study: "announced" in study.waits)
    assert waiting.waits == "waits: 6 instances are announced, 4 are here"
    pair.send(paths[4:])
    study = pair.wait_for(study_uid, lambda study: study.state == StudyState.COMPLETE)
    assert study.evidence == "complete: all 6 instances announced are here (associations 2 released)"
    assert measure(pair, study_uid) < pair.settings.completeness.quiet.total_seconds() / 2


def test_an_identical_study_sent_again_changes_nothing(pair, tmp_path):
    study_uid = make_ct(tmp_path, 5)
    pair.pacs.take(tmp_path)
    before = pair.wait_for(study_uid, lambda study: study.state == StudyState.COMPLETE)
    jobs = [job.id for job in pair.ledger.find_jobs(study_uid)]
    pair.send(sorted(tmp_path.iterdir()))
    pair.send(sorted(tmp_path.iterdir()), caller="OTHER")
    time.sleep(2)
    assert pair.find(study_uid) == before
    assert [job.id for job in pair.ledger.find_jobs(study_uid)] == jobs


def announce(door, study_uid, paths):
    notice, series = Dataset(), Dataset()
    notice.StudyInstanceUID, series.SeriesInstanceUID = study_uid, f"{study_uid}.1"
    notice.ReferencedPerformedProcedureStepSequence, series.ReferencedSOPSequence = [], []
    for header in (dcmread(path, stop_before_pixels=True) for path in paths):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        item.InstanceAvailability, item.RetrieveAETitle = "ONLINE", TITLE
        series.ReferencedSOPSequence.append(item)
    notice.ReferencedSeriesSequence = [series]
    entity = AE("ARCHIVE")
    entity.add_requested_context(INSTANCE_AVAILABILITY_NOTIFICATION)
    line = entity.associate("127.0.0.1", door, ae_title="WETREAD")
    with hold_reactor(line):
        status, _ = line.send_n_create(notice, INSTANCE_AVAILABILITY_NOTIFICATION, generate_uid())
    line.release()
    assert status.Status == 0x0000
