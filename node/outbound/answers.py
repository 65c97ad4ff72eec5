"""What a destination says of one object, and what that is good for.

The codes of C-STORE (PS3.4 table B.2-1, PS3.7 9.1.1.1.9 and annex C) are those of STOW-RS too (PS3.18 10.5.3).
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """TAKEN: it has the object. NOTED: it has it, and something to say of it. LATER: time may cure it. REFUSED: it will
    never take the object as it is."""

    TAKEN = "taken"
    NOTED = "noted"
    LATER = "later"
    REFUSED = "refused"


CODES = {
    0x0000: (Verdict.TAKEN, ""),
    0x0001: (Verdict.NOTED, "optional attributes not supported"),
    0x0105: (Verdict.REFUSED, "no such attribute"),
    0x0106: (Verdict.REFUSED, "invalid attribute value"),
    0x0107: (Verdict.NOTED, "attribute list error"),
    0x0110: (Verdict.LATER, "processing failure"),
    0x0111: (Verdict.NOTED, "it holds this instance already"),
    0x0112: (Verdict.REFUSED, "no such instance"),
    0x0115: (Verdict.REFUSED, "invalid argument value"),
    0x0116: (Verdict.NOTED, "attribute value out of range"),
    0x0117: (Verdict.REFUSED, "invalid instance"),
    0x0118: (Verdict.REFUSED, "no such SOP class"),
    0x0119: (Verdict.REFUSED, "class and instance conflict"),
    0x0120: (Verdict.REFUSED, "missing attribute"),
    0x0121: (Verdict.REFUSED, "missing attribute value"),
    0x0122: (Verdict.REFUSED, "SOP class not supported"),
    0x0124: (Verdict.REFUSED, "not authorized"),
    0x0210: (Verdict.LATER, "duplicate invocation"),
    0x0211: (Verdict.REFUSED, "unrecognized operation"),
    0x0212: (Verdict.REFUSED, "mistyped argument"),
    0x0213: (Verdict.LATER, "resource limitation"),
    0xB000: (Verdict.NOTED, "data elements coerced"),
    0xB006: (Verdict.NOTED, "elements discarded"),
    0xB007: (Verdict.NOTED, "dataset does not match its SOP class"),
}
"""Those that have a meaning of their own."""

FAMILIES = (
    (0xFF00, 0xA700, Verdict.LATER, "out of resources"),
    (0xFF00, 0xA900, Verdict.REFUSED, "dataset does not match its SOP class"),
    (0xF000, 0xB000, Verdict.NOTED, "warning"),
    (0xF000, 0xC000, Verdict.REFUSED, "cannot understand"),
)
"""(mask, value, verdict, meaning) of the rest; what is in none of them is a refusal (PS3.7 C: a failure)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer said of one object. status: None when it said nothing; comment: its own words, which may be about the
    patient: they belong in the ledger, not in a log."""

    status: int | None
    comment: str = ""

    @property
    def verdict(self) -> Verdict:
        return self._look_up()[0]

    @property
    def is_success(self) -> bool:
        """The peer has the object."""
        return self.verdict in {Verdict.TAKEN, Verdict.NOTED}

    @property
    def is_later(self) -> bool:
        """No answer, or one that time may cure: the same object may go later."""
        return self.verdict == Verdict.LATER

    @property
    def note(self) -> str:
        """What stays visible of a success with a warning; "" otherwise."""
        return str(self) if self.verdict == Verdict.NOTED else ""

    @property
    def code(self) -> str:
        """Status and meaning, without the peer's own words."""
        if self.status is None:
            return "no answer"
        meaning = self._look_up()[1]
        return f"0x{self.status:04X} ({meaning})" if meaning else f"0x{self.status:04X}"

    def __str__(self) -> str:
        return f"{self.code} {self.comment}".strip()

    def _look_up(self) -> tuple[Verdict, str]:
        if self.status is None:
            return Verdict.LATER, ""
        if self.status in CODES:
            return CODES[self.status]
        for mask, value, verdict, meaning in FAMILIES:
            if self.status & mask == value:
                return verdict, meaning
        return Verdict.REFUSED, ""
