"""A node that has results: images in the spool, objects in the outbox, the ledger between, and a browser of sorts."""

import html
import io
import json
import re
import shutil
import time
from dataclasses import replace

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from node.config import Settings
from node.dicom.identity import read_identity, read_syntax
from node.dicom.report import encode_refusal
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.inbound.spool import Spool, digest_dataset, name_kept
from node.ledger import SqlLedger
from node.model.batch import Batch, Ended, Opened
from node.model.job import State
from node.model.study import Instance
from node.outbound.outbox import put_objects
from node.sections import Peer
from node.web.app import make_web
from pipelines.terms import Result
from tests.jobs import JOB
from tests.results import LUNG, make_author, make_finding, make_segment
from tests.series import make_series, write_series
from workers.objects import Answer, encode_objects

SHAPE = (9, 40, 56)
SPACING = (2.0, 0.8, 0.7)


class House:
    """The node; its web service answers to `get`."""

    def __init__(self, folder, **web):
        self.settings = Settings.model_validate({"node": {"home": str(folder / "home")}, "routes": [], "web": web})
        self.spool = Spool(self.settings.spool)
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.folder = folder
        self.client = TestClient(make_web(self.settings, self.ledger, self.spool), base_url="http://localhost")

    def get(self, path, **headers):
        return self.client.get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})

    def picture(self, path):
        """RGB, (height, width, 3)."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)

    def keep(self, slices):
        """Takes images in, as the door does, and closes their study with one job; (job, stacks)."""
        paths = write_series(slices, self.folder / f"sent-{slices[0].StudyInstanceUID}")
        rows = [self._place(path) for path in paths]
        study = rows[0].study_uid
        opened, ended = [Opened(study, "listen-0", "SCU", 1.0)], [Ended(study, "released", 1.0)]
        assert not self.ledger.record(Batch(opened, [(row, study) for row in rows], ended))
        series = tuple({row.series_uid for row in rows})
        job = replace(JOB, id=f"{len(self.ledger.find_jobs()):032x}", study_uid=study, series_uids=series, deliver=())
        assert self.ledger.close_study(self.ledger.find_study(study), 1001.0, "complete", "", [job])
        stacks, _ = read_stacks([self.spool.root / row.path for row in rows])
        return job, stacks

    def finish(self, job, stack, result, form="binary", objects=("segmentation", "report"), **author):
        """Encodes `result` as a worker does and puts it into the outbox; the job's id."""
        peer = Peer.model_validate(
            {"ae_title": "PACS", "address": "pacs:104", "segmentation": form, "objects": objects}
        )
        answer = Answer(stack, load_volume(stack), result, make_author(job.id, **author), ("Series 1 was read.",))
        made = encode_objects(answer, {"pacs": peer})
        return self._move(job, State.ENCODED, put_objects(self.settings.outbox, job.id, made.datasets))

    def refuse(self, job, stack, error, sentence, **author):
        """Ends a job with the report that the AI did not run; the job's id."""
        refusal = encode_refusal(stack.headers, make_author(job.id, **author), error, sentence)
        return self._move(job, State.FAILED, put_objects(self.settings.outbox, job.id, [refusal]), sentence)

    def _place(self, path):
        identity, (syntax, offset) = read_identity(path), read_syntax(path)
        digest = digest_dataset(path, offset, syntax)
        name = name_kept(digest)
        shutil.copy(path, self.spool.root / name)
        uids = (identity.sop_instance_uid, identity.sop_class_uid, identity.study_uid, identity.series_uid)
        return Instance(*uids, syntax, digest, path.stat().st_size, name, identity.is_image, time.time())

    def _move(self, job, to, objects, text=""):
        claimed = self.ledger.claim_job(job.id, "worker", time.time() + 60, time.time())
        self.ledger.move_job(claimed, to, time.time(), "test", text, objects=objects)
        return job.id


def make_ball(shape=SHAPE, center=(0.45, 0.62, 0.3), radius=(0.3, 0.2, 0.16)):
    """A mask off the middle, so that a picture that is turned or flipped shows."""
    axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return sum(((axis / n - c) / r) ** 2 for axis, n, c, r in zip(axes, shape, center, radius, strict=True)) <= 1


def make_images(mask, spacing=SPACING, **changes):
    """Images on which the ball is soft tissue and all else air."""
    return make_series(mask.shape, spacing, voxels=np.where(mask, 1124, 24).astype(np.int16), **changes)


def make_answer(mask, **changes):
    return Result((make_segment(mask, site=LUNG, color=(255, 0, 0), **changes),), (make_finding(),))


def read_captions(page):
    """What the page says of each slice."""
    found = re.search(r'data-captions="([^"]*)"', page)
    return json.loads(html.unescape(found.group(1)))
