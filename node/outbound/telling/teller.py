"""A receiver is told of results, over and over until it answers for each message.

In:  messages WAITING whose jobs have ended, then PENDING.   Out: SENT, REFUSED or DROPPED, or PENDING again later.
A crash between the receiver's answer and our row sends the message again: the same MSH-10, the same text. The text is
made when it is sent and kept nowhere. One thread per receiver, and a circuit breaker for each.
"""

import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Event
from traceback import format_tb

from node.config import Settings
from node.dicom.header import is_damage
from node.errors import MessageRefused, PeerUnreachable
from node.ledger import Ledger
from node.messages.account import Account
from node.messages.acknowledgment import Reply, Verdict
from node.messages.critical import find_critical
from node.messages.write import write, write_task
from node.model.job import Job
from node.model.message import Message, MessageState, Subject
from node.orders.book import OrderBook
from node.orders.patients import PatientBook
from node.outbound.breaker import Breaker
from node.outbound.telling.fhir import open_fhir_line
from node.outbound.telling.letters import Letters, Overtaken, find_account, name_message
from node.outbound.telling.line import TellLine
from node.outbound.telling.mllp import open_mllp_line
from node.outbound.telling.tasks import Tasks
from node.rounds import keep_going
from node.sections import MessageKind, OrderUpdate
from node.worklist import Worklist

log = logging.getLogger(__name__)

TICK = 0.25

AT_ONCE = 100
"""Messages in one round."""

NO_REPORT = "there is no report to tell of"
NO_ORDER = "no accession number and no order is known: nobody could say whose priority is raised"


class Teller:
    """Serves one receiver."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        ledger: Ledger,
        book: OrderBook,
        patients: PatientBook,
        worklist: Worklist,
    ) -> None:
        self._name = name
        self._receiver = settings.messages[name]
        self._settings = settings
        self._ledger = ledger
        self._letters = Letters(name, settings, book, patients)
        self._tasks = Tasks(name, settings, ledger, worklist, self._letters) if self._receiver.task else None
        self._breaker = Breaker(name, settings.deliver, ledger)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"telling {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Looks which jobs have ended or got further, then sends what is due; to an open circuit one message alone, as
        a try."""
        if self._tasks:
            self._tasks.draw(now)
        for waiting in self._ledger.find_untold(self._name, self._receiver.at.states, AT_ONCE):
            self._try_to_open(waiting, now)
        if not self._breaker.is_due(now):
            return
        due = self._ledger.find_messages_due(self._name, now, AT_ONCE)
        if due and self._breaker.claim(now):
            self._send(due[:1] if self._breaker.is_open else due)

    def _try_to_open(self, waiting: Message, now: float) -> None:
        """A disk that fails under one report holds up no other: it is looked at again in the next round."""
        try:
            self._open(waiting, now)
        except (OSError, sqlite3.Error) as error:
            log.warning("the report of job %s cannot be read now: %s", waiting.job_id, type(error).__name__)

    def _open(self, waiting: Message, now: float) -> None:
        """WAITING -> what there is to tell: the result and, of a critical one, that the study be read sooner."""
        try:
            job, account = self._find(waiting)
            opened = [self._make(waiting, job, Subject.RESULT, account, now)]
            if self._raises(account):
                opened.append(self._make_update(job, account, now))
        except MessageRefused as error:
            opened = [replace(waiting, state=MessageState.DROPPED, answer=str(error))]
        self._ledger.open_messages(waiting, opened, now)

    def _find(self, message: Message) -> tuple[Job, Account]:
        """Raises MessageRefused when there is nothing to tell of the job, OSError when the disk fails."""
        job = self._ledger.get_job(message.job_id)
        if job.superseded_by:
            raise Overtaken("superseded: a later version speaks for the study", waits=False)
        try:
            account = find_account(job, self._ledger, self._settings.outbox)
        except Exception as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise
            raise MessageRefused(f"its report cannot be read ({type(error).__name__})") from None
        if account is None:
            raise MessageRefused(NO_REPORT)
        return job, account

    def _make(self, before: Message, job: Job, subject: Subject, account: Account, now: float) -> Message:
        """A message to be sent, or SENT when the receiver has been told the very same."""
        name = name_message(self._name, job, subject, account.report_uid)
        if name == before.told:
            return replace(before, state=MessageState.SENT, control_id=name)
        fresh = Message(self._name, job.id, subject, MessageState.PENDING, 0, now, now, control_id=name)
        return replace(fresh, told=before.told)

    def _raises(self, account: Account) -> bool:
        receiver = self._receiver
        return receiver.order_update != OrderUpdate.NONE and bool(find_critical(account, receiver.template.critical))

    def _make_update(self, job: Job, account: Account, now: float) -> Message:
        every = self._ledger.find_messages(job.id)
        ours = [one for one in every if one.destination == self._name and one.subject == Subject.PRIORITY]
        nothing = Message(self._name, job.id, Subject.PRIORITY, MessageState.WAITING, 0, 0.0, now)
        update = self._make(ours[0] if ours else nothing, job, Subject.PRIORITY, account, now)
        if account.accession_number or self._letters.find_order(account):
            return update
        return replace(update, state=MessageState.REFUSED, answer=f"{MessageRefused.__name__}: {NO_ORDER}")

    def _send(self, due: Sequence[Message]) -> None:
        tried = list(due)
        try:
            with self._open_line() as line:
                for message in due:
                    tried = [message]
                    self._tell(line, message)
        except PeerUnreachable as error:
            self._breaker.fail(str(error))
            for message in tried:
                self._postpone(message, f"{PeerUnreachable.__name__}: {error}")
            self._give_up_old(str(error))

    def _open_line(self) -> AbstractContextManager[TellLine]:
        open_line = open_fhir_line if self._receiver.kind == MessageKind.FHIR else open_mllp_line
        return open_line(self._receiver, self._settings.deliver.answer_wait.total_seconds())

    def _tell(self, line: TellLine, message: Message) -> None:
        """Raises PeerUnreachable when the receiver says nothing of `message`."""
        try:
            text = self._write(message)
        except Overtaken as error:
            waits = message.subject != Subject.PRIORITY and error.waits
            to = MessageState.WAITING if waits else MessageState.DROPPED
            self._ledger.move_message(message, to, str(error), 0.0, time.time())
            return
        except MessageRefused as error:
            self._refuse(message, str(error))
            return
        except (OSError, sqlite3.Error) as error:
            self._postpone(message, f"its report or its order cannot be read now ({type(error).__name__})")
            return
        reply = line.tell(text, message.control_id)
        self._breaker.succeed(reply.text)
        self._settle(message, reply)

    def _write(self, message: Message) -> bytes:
        """The text. Raises Overtaken when it would be another message by now, MessageRefused when there is none,
        OSError and sqlite3.Error when a disk fails."""
        try:
            return self._write_task(message) if message.subject == Subject.TASK else self._write_letter(message)
        except (MessageRefused, OSError, sqlite3.Error):
            raise
        except Exception as error:  # noqa: BLE001  a bug of ours must not hold the others up, nor quote the report
            log.error("%s of job %s:\n%s", message.subject, message.job_id, "".join(format_tb(error.__traceback__)))
            raise MessageRefused(f"it cannot be written ({type(error).__name__})") from None

    def _write_letter(self, message: Message) -> bytes:
        job, account = self._find(message)
        same = name_message(self._name, job, message.subject, account.report_uid) == message.control_id
        if not same or job.state not in self._receiver.at.states:
            raise Overtaken("another thing is true of the job by now", waits=True)
        return write(self._receiver, message.subject, self._letters.make(message, job, account))

    def _write_task(self, message: Message) -> bytes:
        if self._tasks is None:
            raise Overtaken("this receiver is told of no tasks any more", waits=False)
        return write_task(self._tasks.find(message))

    def _settle(self, message: Message, reply: Reply) -> None:
        if reply.verdict == Verdict.TAKEN:
            self._ledger.move_message(message, MessageState.SENT, reply.text, 0.0, time.time())
        elif reply.verdict == Verdict.LATER:
            self._postpone(message, reply.text)
        else:
            self._refuse(message, reply.text)

    def _postpone(self, message: Message, why: str) -> None:
        """PENDING after a wait that doubles; past deliver.give_up it counts as refused."""
        now, rules = time.time(), self._settings.deliver
        if now - message.made_at > rules.give_up.total_seconds():
            self._refuse(message, f"gave up: {why}")
        else:
            next_at = now + rules.find_pause(message.attempts)
            self._ledger.move_message(message, MessageState.PENDING, why, next_at, now)

    def _refuse(self, message: Message, why: str) -> None:
        text = f"{MessageRefused.__name__}: {why}"
        self._ledger.move_message(message, MessageState.REFUSED, text, 0.0, time.time())
        log.error("%s will not take the %s of job %s: %s", self._name, message.subject, message.job_id, why)

    def _give_up_old(self, why: str) -> None:
        before = time.time() - self._settings.deliver.give_up.total_seconds()
        for message in self._ledger.find_messages_due(self._name, float("inf"), AT_ONCE):
            if message.made_at < before:
                self._refuse(message, f"gave up: {why}")
