"""Who sends to a PACS and looks after its transfers: a scanner that tries again, an administrator who resubmits."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread

import numpy as np
from pydicom.uid import generate_uid

from tests.flow.orthanc import Orthanc
from tests.series import make_series, write_series

SHAPE = (10, 20, 22)
AWAY = (OSError, HTTPException, ValueError, KeyError, IndexError)
"""What a REST interface that is killed in the middle of an answer comes to."""


@dataclass
class Sent:
    """A study that the PACS has. instances: SOP Instance UIDs. accepted_at: when the PACS first saw a whole transfer of
    it answered with success by the node (epoch seconds), 0.0 before."""

    study_uid: str
    instances: frozenset[str]
    sent_at: float
    accepted_at: float = 0.0


@dataclass
class Modality:
    """Makes small CT studies with a bright block in them, and sees to it that the PACS and then the node get them."""

    pacs: Orthanc
    folder: Path
    studies: list[Sent] = field(default_factory=list)
    resubmitted: int = 0

    def __post_init__(self) -> None:
        self._stop = Event()
        self._thread = Thread(target=self._look_after, daemon=True)

    def start(self) -> None:
        """Begins to look after the transfers."""
        self._thread.start()

    def stop(self) -> None:
        """Ends that."""
        self._stop.set()
        self._thread.join(30)

    def send(self) -> None:
        """One more study to the PACS, over and over until it has taken all of it."""
        study_uid, place = str(generate_uid(prefix=None)), self.folder / f"study-{len(self.studies)}"
        uids = write_study(study_uid, place)
        self._until_taken(lambda: self.pacs.take(place))
        self.studies.append(Sent(study_uid, frozenset(uids), time.time()))

    def are_all_accepted(self) -> bool:
        """True when the node answered success for every image of every study."""
        return all(study.accepted_at for study in self.studies)

    def _until_taken(self, take: Callable[[], None]) -> None:
        while True:
            try:
                take()
            except (AssertionError, subprocess.TimeoutExpired):
                time.sleep(0.3)
            else:
                return

    def _look_after(self) -> None:
        while not self._stop.wait(0.5):
            with suppress(*AWAY):
                self._look()

    def _look(self) -> None:
        """As docs/operations.md says: what failed is submitted again, and what the PACS forgot is sent again."""
        transfers = [job for job in self.pacs.get("/jobs?expand") if job["Type"] == "DicomModalityStore"]
        states: dict[str, set[str]] = {}
        for job in transfers:
            for series in job["Content"]["ParentResources"]:
                states.setdefault(series, set()).add(job["State"])
        for study in [one for one in self.studies if not one.accepted_at]:
            series = self.pacs.find_series(study.study_uid)
            there = {one["ID"]: len(one["Instances"]) for one in series if one["MainDicomTags"]["Modality"] == "CT"}
            for identifier, count in there.items():
                self._judge(study, identifier, count, states.get(identifier, set()), transfers)

    def _judge(self, study: Sent, series: str, count: int, states: set[str], transfers: list) -> None:
        mine = [job for job in transfers if series in job["Content"]["ParentResources"]]
        if any(j["State"] == "Success" and j["Content"]["InstancesCount"] == len(study.instances) for j in mine):
            study.accepted_at = time.time()
        elif states & {"Pending", "Running", "Retry"}:
            return
        elif count == len(study.instances) and (states or time.time() - study.sent_at > 8):
            self.pacs.post("/modalities/wetread/store", f'{{"Resources": ["{series}"], "Asynchronous": true}}')
            self.resubmitted += 1


def write_study(study_uid: str, place: Path, slices: int = SHAPE[0]) -> list[str]:
    """A small CT in `place`; returns its SOP Instance UIDs."""
    voxels = np.full((slices, *SHAPE[1:]), 100, np.int16)
    voxels[1:-1, 5:15, 6:16] = 2400
    uids = {
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": study_uid + ".1",
        "FrameOfReferenceUID": study_uid + ".2",
    }
    images = make_series(voxels.shape, voxels=voxels, **uids)
    write_series(images, place)
    return [str(image.SOPInstanceUID) for image in images]
