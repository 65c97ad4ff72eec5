"""The story of two studies, told by everybody who takes part: an order by HL7, its images by storescu, its workitem by
UPS-RS and WebSocket, its result at the PACS, in the RIS and at a FHIR server. The first has a critical finding, the
second has none.

python -m tests.flow.story > FILE prints the timeline of a run as Markdown; it takes about half a minute.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import httpx
import numpy as np
from pydicom import Dataset
from pydicom.uid import generate_uid
from websockets.sync.client import connect

from node.config import load_settings
from node.model.workitem import GLOBAL, Report
from tests.flow.house import House
from tests.node.inbound.test_order_door import frame, read_answer, verdict
from tests.node.outbound.telling_house import Ehr, Ris
from tests.ports import free_port
from tests.series import make_series, write_series

MORE = """
tell = ["ris", "ehr"]
[messages.ris]
kind = "hl7"
address = "127.0.0.1:{ris}"
order_update = "OMI^O23"
[messages.ris.template]
critical = [{{ finding = "272673000 SCT Bone" }}]
[messages.ehr]
kind = "fhir"
address = "{ehr}"
task = true
[hl7]
listen = "127.0.0.1:{orders}"
"""
STUDIES = {"A-1": "with the finding", "A-2": "without"}
"""Accession number -> what is in the images."""


@dataclass(frozen=True)
class Entry:
    """at: seconds since the epoch. who: to whom it happens. number: accession number of the study."""

    at: float
    who: str
    number: str
    text: str


class Story:
    """Everybody in `folder`, within `with`; `run` lets it happen."""

    def __init__(self, folder):
        self.entries, self.studies, self.files, self.items = [], {}, {}, {}
        self._folder, self._stack, self._over = folder, ExitStack(), Event()

    def __enter__(self):
        self.ris = self._stack.enter_context(Ris(self._on_message))
        self.ehr = self._stack.enter_context(Ehr())
        self.house, self.orders = House(self._folder), free_port()
        keep, store = self.ehr.keep, self.house.pacs._on_store
        self.ehr.keep = lambda request, resource: (self._on_resource(resource), keep(request, resource))
        self.house.pacs._on_store = lambda event: self._on_store(event, store)
        more = MORE.format(ris=self.ris.port, ehr=self.ehr.address, orders=self.orders)
        self.house.config.write_text(self.house.config.read_text() + more)
        self.house.settings = load_settings(self.house.config, {})
        for number in STUDIES:
            self._make_study(number)
        self.house.start()
        self._stack.callback(self.house.close)
        self.web = self._stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{self.house.web}/dicom-web", timeout=20)
        )
        return self

    def __exit__(self, *_):
        self._over.set()
        self._stack.close()

    def run(self):
        """From the orders to the last message."""
        self.house.wait_until(self._subscribe, 60)
        listener = Thread(target=self._listen)
        listener.start()
        self._stack.callback(listener.join)
        self._stack.callback(self._over.set)
        self.house.wait_file.write_text("60")
        for number in STUDIES:
            self.house.wait_until(lambda number=number: self._order(number), 60)
        for number in STUDIES:
            self._acquire(number)
        self.house.wait_until(lambda: self._has("the worklist", "40 %"), 60)
        self.house.wait_file.unlink()
        self.house.wait_until(self._is_over, 120)

    def read_workitem(self, number):
        """As anybody may, by UPS-RS."""
        (found,) = self.web.get("/workitems", params={"StudyInstanceUID": self.studies[number]}).json()
        return Dataset.from_json(found)

    def find_job(self, number):
        (job,) = self.house.ledger.find_jobs(self.studies[number])
        return job

    def to_markdown(self):
        """A table, in seconds since the first order."""
        yield "| s | study | where | what |"
        yield "| --: | --- | --- | --- |"
        told = sorted(self.entries, key=lambda entry: entry.at)
        for entry in told:
            number = f"{entry.number}, {STUDIES[entry.number]}"
            yield f"| {entry.at - told[0].at:.2f} | {number} | {entry.who} | {entry.text} |"

    def _note(self, who, number, text):
        self.entries.append(Entry(time.time(), who, number, text))

    def _has(self, who, text):
        return any(entry.who == who and text in entry.text for entry in list(self.entries))

    def _make_study(self, number):
        shape, study = (12, 24, 26), generate_uid(prefix=None)
        voxels = np.full(shape, 100, np.int16)
        if number == "A-1":
            voxels[3:7, 5:15, 6:16] = 2400
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "FrameOfReferenceUID": f"{study}.2"}
        slices = make_series(shape, voxels=voxels, AccessionNumber=number, PatientID=f"PAT-{number}", **uids)
        self.studies[number], self.files[number] = study, write_series(slices, self._folder / number)

    def _find_number(self, study_uid):
        return next((number for number, study in self.studies.items() if study == study_uid), "")

    def _order(self, number):
        text = (
            f"MSH|^~\\&|RIS|H|WETREAD||2024||ORM^O01|{number}|P|2.5\rPID|1||PAT-{number}\rORC|NW|PL-{number}|"
            f"FI-{number}\rOBR|1|PL-{number}|FI-{number}|CTB^CT bones^L{'|' * 14}{number}\r"
        )
        try:
            with socket.create_connection(("127.0.0.1", self.orders), 20) as line:
                line.sendall(frame(text.encode()))
                assert verdict(read_answer(line)) == ("AA", number)
        except ConnectionRefusedError:  # the role has not opened its door yet
            return False
        self._note("the RIS", number, "orders it (ORM^O01); the answer is AA")
        return True

    def _acquire(self, number):
        door, files = str(self.house.door), self.files[number]
        subprocess.run([shutil.which("storescu"), "-aec", "WETREAD", "127.0.0.1", door, *map(str, files)], check=True)
        self._note("the modality", number, f"has sent {len(files)} images (storescu)")

    def _subscribe(self):
        with suppress(httpx.TransportError):
            answer = self.web.post(f"/workitems/{GLOBAL}/subscribers/READER")
            self._channel = answer.headers["Content-Location"]
            return answer.status_code == 201

    def _listen(self):
        with connect(self._channel) as line:
            while not self._over.is_set():
                with suppress(TimeoutError):
                    self._on_event(json.loads(line.recv(timeout=0.2)))

    def _on_event(self, frame):
        uid, kind = frame["00001000"]["Value"][0], frame["00001002"]["Value"][0]
        if kind not in {Report.STATE, Report.PROGRESS}:
            return
        if uid not in self.items:
            item = Dataset.from_json(self.web.get(f"/workitems/{uid}").json()[0])
            self.items[uid] = self._find_number(item.StudyInstanceUID)
        event = Dataset.from_json({tag: value for tag, value in frame.items() if not tag.startswith("0000")})
        if kind == Report.STATE:
            self._note("the worklist", self.items[uid], event.ProcedureStepState)
        elif event.get("ProcedureStepProgressInformationSequence"):
            progress = event.ProcedureStepProgressInformationSequence[0]
            if progress.get("ProcedureStepProgressDescription"):
                percent, words = float(progress.ProcedureStepProgress), progress.ProcedureStepProgressDescription
                self._note("the worklist", self.items[uid], f"{percent:.0f} %: {words}")

    def _on_store(self, event, store):
        status = store(event)
        self._note("the PACS", self._find_number(event.dataset.StudyInstanceUID), f"takes the {event.dataset.Modality}")
        return status

    def _on_message(self, message):
        number, kind = str(message.segment("OBR")[18]), str(message.segment("MSH")[9])
        if kind.startswith("ORU"):
            self._note("the RIS", number, "is told the result (ORU^R01)")
        else:
            self._note(
                "the RIS", number, f"is told to read it sooner: {kind[:7]}, priority {message.segment('TQ1')[9]}"
            )
        return "AA"

    def _on_resource(self, resource):
        number = resource.get("basedOn", [{"identifier": {"value": ""}}])[0]["identifier"]["value"]
        if resource["resourceType"] == "Task":
            words = f"Task is {resource['status']} ({resource['businessStatus']['coding'][0]['code']})"
            self._note("the FHIR server", number, words)
        elif resource["resourceType"] == "DiagnosticReport":
            self._note("the FHIR server", number, f"DiagnosticReport is {resource['status']}")

    def _is_over(self):
        """Everybody has been told everything."""
        jobs = [job for study in self.studies.values() for job in self.house.ledger.find_jobs(study)]
        told = [message.state for job in jobs for message in self.house.ledger.find_messages(job.id)]
        ended = [entry for entry in list(self.entries) if entry.text in {"COMPLETED", "Task is completed (CONFIRMED)"}]
        return len(ended) == 4 and len(told) == 7 and set(told) == {"SENT"}


def main():
    with TemporaryDirectory() as folder, Story(Path(folder)) as story:
        story.run()
        print("\n".join(story.to_markdown()))


if __name__ == "__main__":
    sys.exit(main())
