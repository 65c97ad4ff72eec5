"""Acknowledgments, ours and those of others (HL7 2.5 chapter 2.9): MSA says whether, ERR says why, in codes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import hl7

from node.errors import MessageNotUnderstood
from node.messages.incoming import Incoming
from node.messages.segments import ENCODING, UTF_8, VERSION, escape, message, segment
from node.model.uid import derive_key

ERRORS = {
    "0": "message accepted",
    "100": "segment sequence error",
    "101": "required field missing",
    "102": "data type error",
    "103": "table value not found",
    "200": "unsupported message type",
    "201": "unsupported event code",
    "202": "unsupported processing id",
    "203": "unsupported version id",
    "204": "unknown key identifier",
    "205": "duplicate key identifier",
    "206": "application record locked",
    "207": "application internal error",
}
"""Table 0357. A code that is not in it is not repeated: a receiver's own words may be about the patient."""


UNACCEPTABLE = frozenset({"200", "201", "202", "203"})


class Verdict(StrEnum):
    """TAKEN: the receiver has it. LATER: it could not take it now. REFUSED: it never will."""

    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"


VERDICTS = {
    "AA": Verdict.TAKEN,
    "CA": Verdict.TAKEN,
    "AE": Verdict.LATER,
    "CE": Verdict.LATER,
    "AR": Verdict.REFUSED,
    "CR": Verdict.REFUSED,
}
"""Table 0008."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver said of one message. text: codes, and what they mean."""

    verdict: Verdict
    text: str


def read_acknowledgment(block: bytes, control_id: str) -> Reply | None:
    """What `block` says of the message `control_id`; None when it is no acknowledgment of it."""
    try:
        answer = hl7.parse(block.decode("utf-8", "replace"))
        acknowledged = answer.segment("MSA")
        code, about = str(acknowledged[1]).strip(), str(acknowledged[2]).strip()
    except (ValueError, LookupError, AttributeError, AssertionError, hl7.HL7Exception):
        return None
    if about != control_id or code not in VERDICTS:
        return None
    errors = sorted(_find_errors(answer) - {"0"})
    said = ", ".join(f"ERR {error} ({ERRORS[error]})" for error in errors)
    return Reply(VERDICTS[code], f"{code}, {said}" if said else code)


def make_acknowledgment(about: Incoming, name: str, error: MessageNotUnderstood | None = None) -> bytes:
    """ACK of the message `about`, from the application `name`. What is wrong with its type or version is rejected (AR),
    anything else is an error (AE); to a sender that asks for an accept acknowledgment alone it is CA, CR or CE."""
    letter = "C" if about.accept in {"AL", "SU", "ER"} and about.application in {"", "NE"} else "A"
    verdict = "A" if error is None else "R" if error.code in UNACCEPTABLE else "E"
    application, facility = about.sender
    kind = "^".join(part for part in ("ACK", escape(about.kind[1]), "ACK") if part)
    head = {1: "|", 2: ENCODING, 3: escape(name), 4: escape(about.receiver[1]), 5: escape(application)}
    head |= {6: escape(facility), 7: datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000"), 9: kind}
    head |= {10: f"A{derive_key('ack', about.control_id)[:18].upper()}", 11: escape(about.processing)}
    head |= {12: VERSION, 18: UTF_8}
    segments = [segment("MSH", head), segment("MSA", {1: letter + verdict, 2: escape(about.control_id)})]
    if error is not None:
        place = f"{error.place[0]}^1^{error.place[1]}" if error.place else ""
        code = f"{error.code}^{escape(ERRORS[error.code])}^HL70357"
        segments.append(segment("ERR", {2: place, 3: code, 4: "E", 8: escape(str(error))}))
    return message(segments)


def _find_errors(answer: hl7.Message) -> set[str]:
    """Codes of table 0357 in ERR-3 (2.5), ERR-1 (older) and MSA-6 (older still)."""
    found = set()
    for one in answer:
        name = str(one[0])
        values = {"ERR": one[1:4], "MSA": one[6:7]}.get(name, [])
        for value in values:
            components = str(value).replace("&", "^").replace("~", "^").split("^")
            found |= {component.strip() for component in components} & set(ERRORS)
    return found
