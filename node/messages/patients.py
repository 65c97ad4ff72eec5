"""What an ADT message says of patients: A08 what is known of one, A40 that two ids are one's (HL7 2.5 chapter 3)."""

from dataclasses import dataclass

from node.errors import MessageNotUnderstood
from node.messages.incoming import Incoming, Part, find_groups

UPDATE, MERGE = ("ADT", "A08"), ("ADT", "A40")
KINDS = frozenset({UPDATE, MERGE})


@dataclass(frozen=True, slots=True, repr=False)
class Update:
    """What is known of a patient. name: as PN. birth_date: YYYYMMDD or "". sex: M, F, O or ""."""

    id: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True, repr=False)
class Merge:
    """`old` is `survivor` from now on."""

    old: str
    survivor: str


def read_update(message: Incoming, authority: str) -> Update:
    """Of A08. Raises MessageNotUnderstood without a patient id."""
    patient = next((part for part in message.segments if part.name == "PID"), None)
    found = find_patient_id(patient, authority) if patient else ""
    if patient is None or not found:
        raise MessageNotUnderstood("it names no patient id", "101", ("PID", 3))
    birth, sex = patient.read(7)[:8], patient.read(8).upper()
    return Update(
        id=found,
        name=to_pn(patient, 5, 1),
        birth_date=birth if len(birth) == 8 and birth.isdigit() else "",
        sex=sex if sex in {"M", "F", "O"} else "",
    )


def read_merges(message: Incoming, authority: str) -> list[Merge]:
    """Of A40: each PID with the ids that MRG-1 after it names. Raises MessageNotUnderstood without any."""
    merges = []
    for group in find_groups(message, "PID"):
        patient = group[0]
        for part in group:
            if part.name == "MRG":
                merges += _read_merge(patient, part, authority)
    if not merges:
        raise MessageNotUnderstood("it names no two patient ids", "101", ("MRG", 1))
    return merges


def _read_merge(patient: Part, merged: Part, authority: str) -> list[Merge]:
    """Ids of one authority belong together; where none is named, the first of each does."""
    found = []
    for place in range(1, merged.count(1) + 1):
        old, issuer = merged.read(1, 1, place), merged.read(1, 4, place)
        if authority and issuer and issuer != authority:
            continue
        survivor = find_patient_id(patient, issuer or authority)
        if old and survivor:
            found.append(Merge(old, survivor))
    return found


def find_patient_id(patient: Part, authority: str) -> str:
    """PID-3: the id that `authority` assigned, else one of which nobody says who did; of no authority in particular the
    first. "" where all are of others: the same number there is somebody else."""
    every = [(patient.read(3, 1, n), patient.read(3, 4, n)) for n in range(1, patient.count(3) + 1)]
    ids = [(value, issuer) for value, issuer in every if value]
    own = [value for value, issuer in ids if issuer == authority]
    unsaid = [value for value, issuer in ids if not (authority and issuer)]
    return next(iter([*own, *unsaid] if authority else unsaid), "")


def to_pn(part: Part, number: int, first: int) -> str:
    """A name as PN: its family name is component `first`. HL7 has suffix and prefix the other way round."""
    family, given, middle, suffix, prefix = (part.read(number, first + n) for n in range(5))
    clean = [piece.replace("^", " ").replace("=", " ") for piece in (family, given, middle, prefix, suffix)]
    return "^".join(clean).rstrip("^")
