"""What an order message orders: ORM^O01, OMI^O23 and OMG^O19 for the order book (HL7 2.5 chapter 4, IHE RAD-4).

Each ORC opens an order, or an OBR where there is none. What cannot be read is left out; an order by which no study
could be found is a fault of the message.
"""

from collections.abc import Iterator, Sequence

from node.errors import MessageNotUnderstood
from node.messages.incoming import Incoming, Part, find_groups
from node.messages.patients import find_patient_id, to_pn
from node.model.job import Priority
from node.model.order import Order
from node.sections import Hl7
from pipelines.terms import Code

KINDS = frozenset({("ORM", "O01"), ("OMI", "O23"), ("OMG", "O19")})

WITHDRAWN = frozenset({"CA", "DC", "OC", "CR", "DR", "OD"})
"""ORC-1 of an order that is given up: it is acknowledged, and what was known of it stays."""

WORDS = {
    Priority.STAT: ("S", "STAT", "A", "ASAP", "T", "HIGH"),
    Priority.ROUTINE: ("R", "ROUTINE", "P", "C", "MEDIUM"),
    Priority.OFF_PEAK: ("PRN", "LOW"),
}
PRIORITIES = {word: priority for priority, words in WORDS.items() for word in words}
"""Tables 0485 and 0027, and the words of DICOM, which sites write there too."""

EMPTY = Part("", (), "|~^&\\")


def read_orders(message: Incoming, rules: Hl7, at: float) -> list[Order]:
    """Its orders. at: when they were told (seconds since the epoch). Raises MessageNotUnderstood."""
    patient = next((part for part in message.segments if part.name == "PID"), EMPTY)
    visit = next((part for part in message.segments if part.name == "PV1"), EMPTY)
    study = next((part.read(1) for part in message.segments if part.name == "ZDS"), "")
    opener = "ORC" if any(part.name == "ORC" for part in message.segments) else "OBR"
    groups = list(find_groups(message, opener))
    if not groups:
        raise MessageNotUnderstood("it orders nothing: neither ORC nor OBR is there", "100", ("ORC", 1))
    if len(groups) > 1:
        study = ""  # it is not said of which
    patient_id = find_patient_id(patient, rules.assigning_authority)
    kept = [group for group in groups if _find(group, "ORC").read(1) not in WITHDRAWN]
    return [order for group in kept for order in _read_group(group, visit, patient_id, study, rules, at)]


def _read_group(
    group: Sequence[Part], visit: Part, patient_id: str, study: str, rules: Hl7, at: float
) -> Iterator[Order]:
    """An order for each requested procedure (IPC) of `group`; one where none is named."""
    order, request = _find(group, "ORC"), _find(group, "OBR")
    procedures = [part for part in group if part.name == "IPC"] or [EMPTY]
    seen = set()
    for procedure in procedures:
        code, description = _read_procedure(request)
        try:
            made = Order(
                accession_number=_find_accession(procedure, order, request, rules),
                issuer=procedure.read(1, 2),
                placer_order_number=order.read(2) or request.read(2),
                filler_order_number=order.read(3) or request.read(3),
                requested_procedure_id=procedure.read(2) or request.read(19),
                requested_procedure_description=description,
                procedure_code=code,
                reason=request.read(31, 2) or request.read(31) or request.read(13),
                referring_physician=to_pn(visit, 8, 2) or to_pn(request, 16, 2) or to_pn(order, 12, 2),
                priority=_find_priority(group, order, request),
                study_uid=_to_uid(procedure.read(3) or study),
                source="hl7",
                at=at,
                patient_id=patient_id,
            )
        except ValueError:
            text = f"no accession number in {', '.join(rules.accession)} and no study uid: it names no study"
            raise MessageNotUnderstood(text, "101", ("OBR", 18)) from None
        if made not in seen:
            seen.add(made)
            yield made


def _find_accession(procedure: Part, order: Part, request: Part, rules: Hl7) -> str:
    parts = {"IPC": procedure, "ORC": order, "OBR": request}
    for place in rules.accession:
        name, _, number = place.partition("-")
        if found := parts.get(name, EMPTY).read(int(number)):
            return found[:16]
    return ""


def _read_procedure(request: Part) -> tuple[Code | None, str]:
    """OBR-44, the procedure that was ordered; by IHE it is in the second code of OBR-4, else OBR-4 itself."""
    for number, first in ((44, 1), (4, 4), (4, 1)):
        value, text, scheme = (request.read(number, first + n) for n in range(3))
        if value or text:
            fits = 0 < len(value) <= 16 and len(scheme) <= 16
            code = Code(value, scheme or "L", (text or value)[:64]) if fits else None
            return code, (text or value)[:64]
    return None, ""


def _find_priority(group: Sequence[Part], order: Part, request: Part) -> Priority | None:
    timing = _find(group, "TQ1")
    for said in (timing.read(9), order.read(7, 6), request.read(27, 6), request.read(5)):
        if said:
            return PRIORITIES.get(said.upper())
    return None


def _to_uid(text: str) -> str:
    """`text` where it is a uid (PS3.5 9.1), else ""."""
    is_uid = 0 < len(text) <= 64 and text.replace(".", "").isascii() and text.replace(".", "").isdigit()
    return text if is_uid else ""


def _find(group: Sequence[Part], name: str) -> Part:
    return next((part for part in group if part.name == name), EMPTY)
