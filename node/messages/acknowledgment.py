"""Acknowledgments, ours and those of others (HL7 2.5 chapter 2.9): MSA says whether, ERR says why, in codes."""

from dataclasses import dataclass
from enum import StrEnum

import hl7

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
