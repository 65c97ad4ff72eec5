"""Systems that are told by message what became of a job (HL7 version 2, FHIR), and those that tell us (HL7)."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from node.model.job import State
from node.sections.client_tls import ClientTls
from node.sections.peers import WebAccess
from node.sections.values import Door, Network, Section
from node.sections.web import Viewer
from pipelines.terms import Code


class MessageKind(StrEnum):
    """HL7: version 2 over MLLP. FHIR: R4 over HTTP."""

    HL7 = "hl7"
    FHIR = "fhir"


class TellAt(StrEnum):
    """When a result is told: every destination took its objects, or every destination keeps them."""

    DELIVERED = "delivered"
    CONFIRMED = "confirmed"

    @property
    def states(self) -> tuple[State, ...]:
        """Those of a job that may be told. That it did not run is told whenever it FAILED."""
        early = (State.DELIVERED,) if self == TellAt.DELIVERED else ()
        return (*early, State.CONFIRMED, State.FAILED)


class OrderUpdate(StrEnum):
    """The message that asks for another reading priority."""

    NONE = "none"
    OMI = "OMI^O23"
    ORM = "ORM^O01"


def _to_code(value: Any) -> Any:
    return Code.parse(value) if isinstance(value, str) else value


Coded = Annotated[Code, BeforeValidator(_to_code)]
"""In a configuration "value scheme meaning": "39607008 SCT Lung"."""


class Critical(Section):
    """A finding that raises the reading priority: it is there and, where a measurement is named, the number lies
    within min and max."""

    finding: Coded
    measurement: Coded | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def check_limits(self) -> "Critical":
        """Limits are of a measurement, and a measurement without limits is a mistake."""
        if (self.measurement is None) != (self.min is None and self.max is None):
            raise ValueError("measurement goes with min or max")
        return self


class Template(Section):
    """What a site wants in its messages, as data.

    sending_application: by default our AE title. assigning_authority: of patient ids whose images name no issuer.
    procedures: OBR-4 by pipeline; by default the procedure that was ordered, else the one that the report names.
    result_status: P preliminary, R stored but not verified, F final. processing: P production, T training, D debugging.
    coded_as: OBX-2 of codes; CE for a receiver that knows no CWE (which 2.5 did not name yet for OBX).
    critical: which findings are. viewer: address that opens a study, {study} stands for its uid; by default web.viewer.
    """

    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    assigning_authority: str = ""
    procedures: dict[str, Coded] = Field(default_factory=dict)
    result_status: Literal["P", "R", "F"] = "P"
    processing: Literal["P", "T", "D"] = "P"
    coded_as: Literal["CWE", "CE"] = "CWE"
    critical: list[Critical] = Field(default_factory=list)
    viewer: Viewer = ""


class Receiver(Section):
    """A system that routes tell of results: `tell = ["ris"]`.

    address: "host:port" of HL7, "https://ehr.hospital.test/fhir" of FHIR. at: when a result is told. order_update: what
    a critical finding sends besides. task: a FHIR server is told how far each job is, from its first moment on. tls: of
    HL7, whose lines are plain without it. web: who we are to a FHIR server.
    """

    kind: MessageKind
    address: str
    at: TellAt = TellAt.CONFIRMED
    order_update: OrderUpdate = OrderUpdate.NONE
    task: bool = False
    tls: ClientTls | None = None
    web: WebAccess = WebAccess()
    template: Template = Template()

    @model_validator(mode="after")
    def check_kind(self) -> "Receiver":
        """Its address and its keys are those of its kind."""
        host, colon, port = self.address.rpartition(":")
        by_web = self.address.startswith(("http://", "https://"))
        if self.kind == MessageKind.HL7 and (by_web or not (host and colon and port.isdigit())):
            raise ValueError('address of kind "hl7" is host:port')
        if self.kind == MessageKind.FHIR and (not by_web or "@" in self.address):
            raise ValueError('address of kind "fhir" begins with https:// or http:// and holds no credentials')
        if self.kind == MessageKind.FHIR and (self.tls or self.order_update != OrderUpdate.NONE):
            raise ValueError('tls and order_update are of kind "hl7"; a FHIR server\'s TLS is under web')
        if self.kind == MessageKind.HL7 and (self.task or self.web != WebAccess()):
            raise ValueError('task and web are of kind "fhir"')
        if self.order_update != OrderUpdate.NONE and not self.template.critical:
            raise ValueError("order_update needs template.critical: which findings raise the priority")
        return self

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2}-[1-9]\d?$")]


class Hl7Tls(Section):
    """TLS at the door for messages. With `authorities` every sender must show a certificate signed by one of them."""

    certificate: Path
    key: Path
    authorities: Path | None = None


class Hl7(Section):
    """The door for orders and patient updates by HL7 version 2 over MLLP; without `listen` there is none.

    senders: networks that may connect; none is this machine alone. tls: without it lines are plain.
    accession: fields that may hold the accession number, as "OBR-18"; the first that does counts. assigning_authority:
    of the patient ids that images have, where PID-3 holds several; else the first is taken.
    max_connections: at once. max_message_kb: a longer message ends its connection. idle_timeout: a connection silent
    for so long is closed; message_timeout: how long a message that has begun may take.
    """

    listen: Door = ""
    senders: list[Network] = Field(default_factory=list)
    tls: Hl7Tls | None = None
    accession: list[FieldName] = Field(default=["IPC-1", "OBR-18"], min_length=1)
    assigning_authority: str = ""
    max_connections: int = Field(default=50, ge=1)
    max_message_kb: int = Field(default=1024, ge=1)
    idle_timeout: timedelta = timedelta(minutes=10)
    message_timeout: timedelta = timedelta(seconds=30)
