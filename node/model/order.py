"""An order: what the department asked for, as the worklist or an order message tells it."""

from dataclasses import dataclass, field
from typing import Literal

from node.model.job import Priority
from pipelines.terms import Code

Source = Literal["mwl", "hl7"]
"""The modality worklist (PS3.4 annex K), or HL7 version 2."""


@dataclass(frozen=True, slots=True)
class Order:
    """One requested procedure of an imaging service request; what nobody said is empty. What names people is not shown.

    accession_number: of the service request; issuer: who gave it, by the local namespace of (0008,0051).
    requested_procedure_id: tells apart what was asked for under one accession number. procedure_code: of the requested
    procedure. reason: for it, as text. referring_physician: a name as PN (PS3.5 6.2). priority: None where none was
    said. study_uid: Study Instance UID that the order gives to its images. at: when it was told, seconds since the
    epoch, UTC. patient_id, patient_issuer: whose order it is, and who gave that id; images of another patient never get
    it.
    Raises ValueError for an order that no study could be found by.
    """

    accession_number: str = field(repr=False)
    issuer: str
    placer_order_number: str = field(repr=False)
    filler_order_number: str = field(repr=False)
    requested_procedure_id: str = field(repr=False)
    requested_procedure_description: str = field(repr=False)
    procedure_code: Code | None
    reason: str = field(repr=False)
    referring_physician: str = field(repr=False)
    priority: Priority | None
    study_uid: str
    source: Source
    at: float
    patient_id: str = field(default="", repr=False)
    patient_issuer: str = ""

    def __post_init__(self) -> None:
        if not self.accession_number and not self.study_uid:
            raise ValueError("an order needs an accession number or a study uid: by nothing else is its study found")
