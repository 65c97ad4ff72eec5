"""A ledger, a spool and a worklist in one home, and who moves jobs as workers and destinations would."""

import time
from dataclasses import replace

from pydicom import Dataset

from node.config import Settings
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState, Kind, ResultObject
from node.model.job import State
from node.worklist import Worklist
from node.worklist.mirror import Mirror
from tests.jobs import JOB
from tests.series import make_series, write_series

OBJECTS = [
    ResultObject("2.9.1", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "j/1", Kind.SEGMENTATION, series_uid="9"),
    ResultObject("2.8.1", "1.2.840.10008.5.1.4.1.1.88.34", "SR", "j/2", series_uid="8"),
]
ROUTE = {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "deliver": ["pacs"]}
STEPS = (State.CLAIMED, State.ENCODED, State.DELIVERED, State.CONFIRMED)


class Ward:
    def __init__(self, home):
        peers = {"pacs": {"ae_title": "MAINPACS", "address": "127.0.0.1:1"}}
        self.settings = Settings.model_validate({"node": {"home": home}, "peers": peers, "routes": [ROUTE]})
        self.open()

    def open(self):
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.worklist = Worklist(self.settings.node.home)
        self.mirror = Mirror(self.settings, self.ledger, self.worklist)

    def close(self):
        self.worklist.close()
        self.ledger.close()

    def receive(self, study_uid="1.2.3", number=3):
        """Images of one series in the spool."""
        spool = Spool(self.settings.spool)
        recorder = Recorder(self.ledger, spool)
        recorder.start()
        receiver = Receiver(spool, self.ledger, recorder)
        uids = []
        for n, image in enumerate(make_series((number, 4, 4), StudyInstanceUID=study_uid)):
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.1.{n}"
            image.SeriesInstanceUID = f"{study_uid}.1"
            (path,) = write_series([image], spool.incoming / study_uid / str(n))
            part = spool.incoming / f"{study_uid}-{n}.part"
            path.rename(part)
            receiver.admit(part, "SCU")
            uids.append(image.SOPInstanceUID)
        recorder.stop()
        return uids

    def finish_study(self, *jobs, study_uid="1.2.3"):
        """It is COMPLETE, with these jobs."""
        study = self.ledger.find_study(study_uid)
        assert self.ledger.close_study(study, time.time(), "complete", "", list(jobs))

    def add_job(self, study_uid="1.2.3", **changes):
        self.receive(study_uid)
        job = replace(JOB, study_uid=study_uid, series_uids=(f"{study_uid}.1",), created_at=time.time(), **changes)
        self.finish_study(job, study_uid=study_uid)
        return job.id

    def move(self, job_id, to, text=""):
        """As far as `to`, with results on the way."""
        job = self.ledger.get_job(job_id)
        if to in (State.CLAIMED, State.QUEUED, State.FAILED, State.CANCELED):
            steps = [to]
        else:
            steps = STEPS[STEPS.index(job.state) + 1 if job.state in STEPS else 0 : STEPS.index(to) + 1]
        for step in steps:
            now, job = time.time(), self.ledger.get_job(job_id)
            if step == State.CLAIMED:
                assert self.ledger.claim_job(job_id, "w", now + 60, now)
                continue
            objects = OBJECTS if step == State.ENCODED else ()
            self.ledger.move_job(job, step, now, "test", text, objects=objects)
            if step == State.DELIVERED:
                for delivery in self.ledger.find_deliveries(job_id):
                    self.ledger.move_delivery(delivery, DeliveryState.SENT, "0x0000", 0.0)

    def tick(self):
        self.mirror.tick(time.time())

    def items(self):
        """[workitem as a Dataset], in their turn."""
        return [Dataset.from_json(one.model) for one in self.worklist.search([])]

    def item(self):
        (item,) = self.items()
        return item
