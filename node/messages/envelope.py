"""What opens every message of ours: who says it to whom, about which patient, under which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import hl7

from node.messages.account import Account
from node.messages.segments import (
    ENCODING,
    UTF_8,
    VERSION,
    coded,
    escape,
    identifier,
    join,
    patient_name,
    person,
    repeat,
    segment,
)
from node.model.order import Order
from node.model.uid import derive_key
from node.sections import Template
from pipelines.terms import Code

IMAGING = "RAD"
"""OBR-24, the department (table 0074)."""


@dataclass(frozen=True, slots=True, repr=False)
class Letter:
    """Everything that a message is made of. name: of the sending application. at: when the message was made (seconds
    since the epoch). pipeline, route: of the job. viewer: address of the study in a viewer, or "". patient_ids: of the
    patient in the receiver's words, the one that it uses now first; empty is the id in the report."""

    account: Account
    template: Template
    name: str
    control_id: str
    at: float
    pipeline: str
    route: str
    order: Order | None = None
    viewer: str = ""
    patient_ids: tuple[str, ...] = ()

    @property
    def accession_number(self) -> str:
        return self.account.accession_number or (self.order.accession_number if self.order else "")

    @property
    def procedure(self) -> Code | None:
        """As the site names it, as it was ordered, as it was requested, or as the report names it."""
        ordered = self.order.procedure_code if self.order else None
        own = self.template.procedures.get(self.pipeline)
        return own or ordered or self.account.requested_code or self.account.procedure

    @property
    def procedure_id(self) -> str:
        ordered = self.order.requested_procedure_id if self.order else ""
        return ordered or self.account.requested_procedure_id


def make_header(letter: Letter, kind: str) -> hl7.Segment:
    """MSH. kind: "ORU^R01^ORU_R01"."""
    template = letter.template
    return segment(
        "MSH",
        {
            1: "|",
            2: ENCODING,
            3: escape(letter.name),
            4: escape(template.sending_facility),
            5: escape(template.receiving_application),
            6: escape(template.receiving_facility),
            7: datetime.fromtimestamp(letter.at, UTC).strftime("%Y%m%d%H%M%S+0000"),
            9: kind,
            10: escape(letter.control_id),
            11: template.processing,
            12: VERSION,
            18: UTF_8,
        },
    )


def make_patient(letter: Letter) -> hl7.Segment:
    """PID, with what the images say of the patient."""
    patient = letter.account.patient
    authority = patient.issuer or letter.template.assigning_authority
    ids = letter.patient_ids or (patient.id,)
    sex = {"M": "M", "F": "F", "O": "O"}.get(patient.sex, "U")
    return segment(
        "PID",
        {
            1: "1",
            3: repeat(join(escape(one), "", "", escape(authority)) for one in ids if one),
            5: patient_name(patient.name),
            7: patient.birth_date,
            8: sex,
        },
    )


def make_common_order(letter: Letter, control: str, more: Mapping[int, str] | None = None) -> hl7.Segment:
    """ORC. control: ORC-1 (table 0119)."""
    return segment("ORC", {1: control, 2: find_placer(letter), 3: find_filler(letter)} | dict(more or {}))


def make_request(letter: Letter, more: Mapping[int, str] | None = None) -> hl7.Segment:
    """OBR, without status. The accession number is in OBR-18, the requested procedure's id in OBR-19 (IHE RAD TF-2,
    RAD-4)."""
    order, account = letter.order, letter.account
    physician = account.referring_physician or (order.referring_physician if order else "")
    fields = {
        1: "1",
        2: find_placer(letter),
        3: find_filler(letter),
        4: coded(letter.procedure) or coded(Code("UNKNOWN", "L", "not stated")),
        7: account.study_at,
        16: person(physician),
        18: escape(letter.accession_number),
        19: escape(letter.procedure_id),
        24: IMAGING,
        31: join("", escape(order.reason)) if order and order.reason else "",
    }
    return segment("OBR", fields | dict(more or {}))


def find_placer(letter: Letter) -> str:
    """ORC-2 and OBR-2: the number of who ordered."""
    return identifier(letter.order.placer_order_number) if letter.order else ""


def find_filler(letter: Letter) -> str:
    """ORC-3 and OBR-3: the number of who fills the order. Where we were told none it is one of our own, the same for
    every version of the result, so that a later one takes the place of the earlier."""
    if letter.order and letter.order.filler_order_number:
        return identifier(letter.order.filler_order_number)
    return identifier(f"WR{derive_key('filler', letter.account.study_uid, letter.route)[:18]}", letter.name)
