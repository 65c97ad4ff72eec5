"""What a message is made of: the report of a job as it lies in the outbox, and the order as the order book has it."""

from dataclasses import replace
from pathlib import Path

from pydicom import dcmread

from node.config import Settings
from node.errors import MessageRefused
from node.ledger import Ledger
from node.messages.account import Account, Patient, read_account
from node.messages.envelope import Letter
from node.model.delivery import Kind
from node.model.job import Job, State
from node.model.message import Message, Subject
from node.model.order import Order
from node.model.uid import derive_key
from node.orders.book import OrderBook
from node.orders.patients import PatientBook


class Overtaken(MessageRefused):
    """What was to be told is no longer so. waits: something else will be."""

    def __init__(self, text: str, *, waits: bool) -> None:
        super().__init__(text)
        self.waits = waits


DIGITS = 18
"""Hexadecimal digits of a control id: with "WR" before them MSH-10 has no room for more (20 characters in 2.5)."""


def find_account(job: Job, ledger: Ledger, outbox: Path) -> Account | None:
    """What is to be told of `job`: its first report that is no refusal; of one that FAILED the refusal, if that was its
    last word. None without one. Raises what reading a damaged file raises."""
    paths = [outbox / one.path for one in ledger.find_objects(job.id) if one.kind == Kind.REPORT]
    accounts = [read_account(dcmread(path)) for path in paths if path.is_file()]
    if job.state == State.FAILED:
        return accounts[-1] if accounts and accounts[-1].did_not_run else None
    return next((account for account in accounts if not account.did_not_run), None)


def name_message(destination: str, job: Job, subject: Subject, about: str) -> str:
    """MSH-10: the same for the same report, so that a receiver knows a repeat. about: its uid, or what else is told."""
    return f"WR{derive_key('message', destination, job.id, subject, about)[:DIGITS].upper()}"


class Letters:
    """Makes the letters to one receiver."""

    def __init__(self, name: str, settings: Settings, book: OrderBook, patients: PatientBook) -> None:
        self._template = settings.messages[name].template
        self._settings = settings
        self._book = book
        self._patients = patients

    def make(self, message: Message, job: Job, account: Account) -> Letter:
        """Everything that `message` says. What the department has told of the patient since the report was made is
        newer than what the images say."""
        viewer = self._template.viewer or self._settings.web.viewer
        return Letter(
            account=self._bring_up_to_date(account),
            template=self._template,
            name=self._template.sending_application or self._settings.node.ae_title,
            control_id=message.control_id,
            at=message.made_at,
            pipeline=job.pipeline,
            route=job.route,
            order=self.find_assigned(job) or self.find_order(account),
            viewer=viewer.replace("{study}", account.study_uid),
            patient_ids=self.find_ids(account.patient),
        )

    def _bring_up_to_date(self, account: Account) -> Account:
        born = account.patient.birth_date
        told = self._patients.find(account.patient.id) if self._is_ours(account.patient) else None
        if told is None or (born and told.birth_date and born != told.birth_date):
            return account
        said = {"name": told.name, "birth_date": told.birth_date, "sex": told.sex}
        patient = replace(account.patient, **{key: value for key, value in said.items() if value})
        return replace(account, patient=patient)

    def find_assigned(self, job: Job) -> Order | None:
        """The order that `job` answers."""
        return self._book.find_assigned(job.id)

    def find_order(self, account: Account) -> Order | None:
        """The order of the study; None where it is another patient's."""
        order = self._book.find(account.accession_number, account.study_uid)
        if order is None or not (order.patient_id and account.patient.id):
            return order
        return order if order.patient_id in self.find_ids(account.patient) else None

    def find_ids(self, patient: Patient) -> tuple[str, ...]:
        """Every id of the patient, the one that stays first."""
        return self._patients.find_ids(patient.id) if self._is_ours(patient) else (patient.id,)

    def _is_ours(self, patient: Patient) -> bool:
        """False when the patient's id is of another authority than those that we are told of: another person's."""
        issuer, ours = patient.issuer, self._settings.hl7.assigning_authority
        return bool(patient.id) and not (issuer and ours and issuer != ours)
