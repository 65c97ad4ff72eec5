"""How far each job is, told to one FHIR server as a Task, anew with each step.

In:  the history of the ledger, workitems.   Out: messages of the subject TASK.
What is told is always how far the job is by now: of steps that follow each other faster than the server answers the
last alone is told. A message waits until the worklist says of the job what the ledger says.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from node.config import Settings
from node.errors import WorkitemRefused
from node.ledger import Ledger
from node.ledger.messages import TELL
from node.messages.account import Patient
from node.messages.task import Errand, find_status
from node.model.delivery import ResultObject
from node.model.job import FINAL, Job
from node.model.message import Message, MessageState, Subject
from node.model.uid import derive_uid
from node.outbound.telling.letters import Letters, Overtaken, name_message
from node.worklist import Worklist
from node.worklist.of_job import find_why, refer_to_outputs
from node.worklist.rows import to_dataset
from pipelines.terms import get_manifest

AT_ONCE = 100
"""Tasks in one round."""

LINES = 1000
"""Of the history, read at once."""

NO_WORKITEM = "no workitem speaks of it as it is now"


class Tasks:
    """Those of one receiver."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger, worklist: Worklist, letters: Letters) -> None:
        self._name = name
        self._settings = settings
        self._ledger = ledger
        self._worklist = worklist
        self._letters = letters

    def draw(self, now: float) -> None:
        """Reads on in the history, and has what is to be told sent."""
        while self._ledger.draw_tasks(self._name, now, LINES):
            pass
        for waiting in self._ledger.find_untold_tasks(self._name, AT_ONCE):
            try:
                opened = self._open(waiting, now)
            except Overtaken as error:
                if now - waiting.made_at < self._settings.deliver.give_up.total_seconds():
                    continue
                opened = replace(waiting, state=MessageState.DROPPED, answer=str(error))
            self._ledger.open_messages(waiting, [opened], now)

    def find(self, message: Message) -> Errand:
        """What `message` says. Raises Overtaken when another thing is to be said, soon."""
        errand = self._find_errand(message.job_id)
        if self._name_task(errand) != message.control_id:
            raise Overtaken("the job is further by now", waits=True)
        return errand

    def _open(self, waiting: Message, now: float) -> Message:
        """To be sent, or SENT when the server has been told the very same."""
        name = self._name_task(self._find_errand(waiting.job_id))
        if name == waiting.told:
            return replace(waiting, state=MessageState.SENT, control_id=name)
        return replace(waiting, state=MessageState.PENDING, control_id=name, attempts=0, next_at=now, made_at=now)

    def _name_task(self, errand: Errand) -> str:
        job = errand.job
        about = f"{errand.turn} {find_status(errand)} {job.state} {job.attempt} {job.priority}"
        return name_message(self._name, job, Subject.TASK, about)

    def _find_errand(self, job_id: str) -> Errand:
        """Raises Overtaken while the worklist is behind."""
        job, links = self._ledger.get_job(job_id), self._worklist.find_links(job_id)
        current = [link for link in links if link.is_ended == (job.state in FINAL)]
        if not current:
            raise Overtaken(NO_WORKITEM, waits=True)
        turn = max(link.turn for link in current)
        uids = tuple(link.workitem_uid for link in current if link.turn == turn)
        workitem = self._read(derive_uid("workitem", job.id, str(turn)), uids)
        patient = read_patient(workitem)
        order = self._letters.find_assigned(job)
        return Errand(
            job=job,
            turn=turn,
            workitems=uids,
            title=self._find_title(job),
            patient=patient,
            patient_ids=self._letters.find_ids(patient),
            authority=self._settings.messages[self._name].template.assigning_authority,
            accession_number=read_accession_number(workitem) or (order.accession_number if order else ""),
            history=[event for event in self._ledger.find_history(job.id) if event.station != TELL],
            outputs=self._find_outputs(job),
            why=find_why(job),
            station=self._settings.node.ae_title,
        )

    def _read(self, ours: str, uids: Sequence[str]) -> Dataset:
        """The workitem that we made for the job, else one that was pushed for it."""
        try:
            return to_dataset(self._worklist.get(ours if ours in uids else uids[0]).model)
        except WorkitemRefused:
            raise Overtaken(NO_WORKITEM, waits=True) from None

    def _find_outputs(self, job: Job) -> list[ResultObject]:
        """What a job that has ended made, as its workitem says it."""
        if job.state not in FINAL:
            return []
        objects = self._ledger.find_objects(job.id)
        items = refer_to_outputs(job.study_uid, self._ledger.find_deliveries(job.id), objects, {})
        held = {one.ReferencedSOPInstanceUID for item in items for one in item.ReferencedSOPSequence}
        return [one for one in objects if one.sop_instance_uid in held]

    def _find_title(self, job: Job) -> str:
        try:
            return get_manifest(job.pipeline).title
        except (KeyError, ValueError):  # the pipeline is not installed any more
            return job.pipeline


def read_patient(workitem: Dataset) -> Patient:
    """Who it is about: the id alone is told."""
    return Patient(str(workitem.get("PatientID") or ""), str(workitem.get("IssuerOfPatientID") or ""), "", "", "")


def read_accession_number(workitem: Dataset) -> str:
    """ "" where it names none."""
    items = workitem.get("ReferencedRequestSequence") or [Dataset()]
    return str(items[0].get("AccessionNumber") or "")
