"""The text of a message, by the kind of its receiver and its subject."""

import json

from node.messages.critical import find_critical
from node.messages.envelope import Letter
from node.messages.fhir import make_transaction
from node.messages.order_update import make_order_update
from node.messages.result import make_result
from node.messages.task import Errand, make_task
from node.model.message import Subject
from node.sections import MessageKind, Receiver


def write(receiver: Receiver, subject: Subject, letter: Letter) -> bytes:
    """What goes out to `receiver`: HL7 in UTF-8, or JSON."""
    if receiver.kind == MessageKind.FHIR:
        return json.dumps(make_transaction(letter), ensure_ascii=False).encode("utf-8")
    critical = find_critical(letter.account, receiver.template.critical)
    if subject == Subject.PRIORITY:
        return make_order_update(letter, receiver.order_update, critical)
    return make_result(letter, critical)


def write_task(errand: Errand) -> bytes:
    """JSON."""
    return json.dumps(make_task(errand), ensure_ascii=False).encode("utf-8")
