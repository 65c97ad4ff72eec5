"""A result as FHIR R4: one transaction of a DiagnosticReport and an Observation for each finding.

Every resource has an identifier that derives from the report's SOP Instance UID, and is created only where no resource
has it (If-None-Exist): a repeat makes nothing twice. Patient and ImagingStudy are referred to by identifier, since
their addresses are the server's; the algorithm is a Device within each Observation, and named in the conclusion.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from node.messages.account import Account, Found, Measured, Patient
from node.messages.envelope import Letter
from node.messages.result import STATEMENT
from node.model.uid import derive_key
from pipelines.terms import Code

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "RADLEX": "http://radlex.org",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
}
"""Coding Scheme Designator -> its URI (PS3.16 table 8-1). Of others the designator is all that is known."""

UID = "urn:dicom:uid"
DEVICE = "#algorithm"
STATUS = {"P": "preliminary", "R": "preliminary", "F": "final"}
"""By template.result_status: FHIR has no word for "stored, not verified" but preliminary."""

OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
NO_RESULT = "cancelled"
"""DiagnosticReport.status of what did not run: the measurement was not started or not completed."""

Resource = dict[str, Any]


def make_transaction(letter: Letter) -> Resource:
    """A Bundle of type transaction. Of an algorithm that did not run: a report alone, which says so."""
    account = letter.account
    entries = []
    for place, found in enumerate(account.findings, 1):
        key = derive_key("observation", account.report_uid, str(place))
        entries.append(_make_entry(_make_observation(letter, found, key), f"urn:wetread:{key}"))
    results = [{"reference": entry["fullUrl"]} for entry in entries]
    report = _make_report(letter, results)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_make_entry(report, f"urn:oid:{account.report_uid}"), *entries],
    }


def _make_entry(resource: Resource, name: str) -> Resource:
    """fullUrl is a UUID (RFC 4122) derived from the identifier `name`, by which entries refer to each other."""
    identifier = resource["identifier"][0]
    key = derive_key("entry", name)
    uuid = "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))
    kind = resource["resourceType"]
    condition = f"identifier={identifier['system']}|{identifier['value']}"
    return {
        "fullUrl": f"urn:uuid:{uuid}",
        "resource": resource,
        "request": {"method": "POST", "url": kind, "ifNoneExist": condition},
    }


def _make_report(letter: Letter, results: list[Resource]) -> Resource:
    account = letter.account
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "identifier": [to_uid(account.report_uid)],
        "status": NO_RESULT if account.did_not_run else STATUS[letter.template.result_status],
        "category": [{"coding": [{"system": SECTION, "code": "RAD", "display": "Radiology"}]}],
        "code": _to_concept(letter.procedure) or {"text": account.title or "AI result"},
        "subject": _make_subject(letter),
        "effectiveDateTime": _to_moment(account.study_at),
        "issued": _to_instant(account.made_at, letter.at),
        "result": results,
        "imagingStudy": [refer_to_study(account.study_uid)],
        "conclusion": "\n".join([*_state_maker(account), *account.notes]),
        "conclusionCode": [code for code in (_to_concept(account.outcome), _to_concept(account.reason)) if code],
        "presentedForm": [_make_link(letter)] if letter.viewer else [],
    }
    if letter.accession_number:
        report["basedOn"] = [refer_to_order(letter.accession_number)]
    return without_empty(report)


def _make_observation(letter: Letter, found: Found, key: str) -> Resource:
    """A finding: its code is the finding, its value whether it is there, its components answers and numbers."""
    account = letter.account
    presence = Code("2667000", "SCT", "Absent") if found.absent else Code("52101004", "SCT", "Present")
    observation: Resource = {
        "resourceType": "Observation",
        "contained": [_make_device(account)],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:wetread:{key}"}],
        "status": STATUS[letter.template.result_status],
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": _to_concept(found.concept) or {"text": "Finding"},
        "subject": _make_subject(letter),
        "effectiveDateTime": _to_moment(account.study_at),
        "issued": _to_instant(account.made_at, letter.at),
        "valueCodeableConcept": _to_concept(presence),
        "bodySite": _to_site(found),
        "device": {"reference": DEVICE},
        "derivedFrom": [refer_to_study(account.study_uid)],
        "note": [{"text": comment} for comment in found.comments],
        "component": [*map(_make_answer, found.answers), *map(_make_component, found.numbers)],
    }
    if found.tracking_uid:
        observation["identifier"].append(to_uid(found.tracking_uid))
    return without_empty(observation)


def _make_answer(said: tuple[Code, Code]) -> Resource:
    asked, answer = said
    return {"code": _to_concept(asked), "valueCodeableConcept": _to_concept(answer)}


def _make_component(measured: Measured) -> Resource:
    code = _to_concept(measured.concept) or {}
    if measured.derivation:
        code["text"] = f"{measured.concept.meaning} ({measured.derivation.meaning})"
        code["coding"].append(to_coding(measured.derivation))
    if measured.value is None:
        absent = {"system": UNKNOWN, "code": "error", "display": "Error"}
        return {"code": code, "dataAbsentReason": {"coding": [absent]}}
    quantity: Resource = {"value": measured.value}
    if unit := measured.unit:
        quantity |= {"unit": unit.meaning, "code": unit.value}
        quantity |= {"system": SYSTEMS[unit.scheme]} if unit.scheme in SYSTEMS else {}
    return {"code": code, "valueQuantity": quantity}


def _make_device(account: Account) -> Resource:
    algorithm = account.algorithm
    device = {
        "resourceType": "Device",
        "id": DEVICE.removeprefix("#"),
        "identifier": [to_uid(algorithm.uid)] if algorithm.uid else [],
        "manufacturer": algorithm.manufacturer,
        "deviceName": [{"name": algorithm.name or "algorithm", "type": "model-name"}],
        "version": [{"value": algorithm.version}] if algorithm.version else [],
        "type": {"text": "Artificial intelligence"},
    }
    return without_empty(device)


def _make_subject(letter: Letter) -> Resource:
    patient = letter.account.patient
    return refer_to_patient(patient, letter.patient_ids, letter.template.assigning_authority)


def refer_to_patient(patient: Patient, ids: Sequence[str], authority: str) -> Resource:
    """By the first of `ids`, else as the images have it. authority: of ids whose images name no issuer."""
    number = (tuple(ids) or (patient.id,))[0]
    issuer = patient.issuer or authority
    identifier = without_empty({"value": number, "assigner": {"display": issuer} if issuer else {}})
    return without_empty({"type": "Patient", "identifier": identifier})


def refer_to_study(study_uid: str) -> Resource:
    """By its Study Instance UID."""
    return {"type": "ImagingStudy", "identifier": to_uid(study_uid)}


def refer_to_order(accession_number: str) -> Resource:
    """By its accession number."""
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN", "display": "Accession ID"}
    return {
        "type": "ServiceRequest",
        "identifier": {"type": {"coding": [kind]}, "value": accession_number},
    }


def to_uid(uid: str) -> Resource:
    """An identifier that is a DICOM UID."""
    return {"system": UID, "value": f"urn:oid:{uid}"}


def _make_link(letter: Letter) -> Resource:
    return {"contentType": "text/html", "url": letter.viewer, "title": "The study in a viewer"}


def _state_maker(account: Account) -> list[str]:
    """That it is an algorithm's, which one, and how it ended."""
    algorithm = f"{account.algorithm.name} {account.algorithm.version}".strip()
    return [STATEMENT, f"Algorithm: {algorithm}", *([account.outcome.meaning] if account.outcome else [])]


def _to_site(found: Found) -> Resource:
    """Site and side as one concept."""
    parts = [code for code in (found.laterality, found.site) if code]
    if not parts:
        return {}
    return {"coding": [to_coding(code) for code in parts], "text": " ".join(code.meaning for code in parts)}


def _to_concept(code: Code | None) -> Resource:
    return {"coding": [to_coding(code)], "text": code.meaning} if code else {}


def to_coding(code: Code) -> Resource:
    """A Coding; of a scheme that has no URI the designator stands in one of ours."""
    system = SYSTEMS.get(code.scheme, f"urn:wetread:scheme:{code.scheme}")
    return {"system": system, "code": code.value, "display": code.meaning}


def _to_moment(text: str) -> str:
    """A dateTime from YYYYMMDD[HHMMSS[+HHMM]]; a date alone where the offset from UTC is not known, since a time goes
    with one."""
    date = f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) >= 8 else ""
    if len(text) != 19:
        return date
    return f"{date}T{text[8:10]}:{text[10:12]}:{text[12:14]}{text[14:17]}:{text[17:19]}"


def _to_instant(text: str, at: float) -> str:
    """The same as an instant; `at` (seconds since the epoch) where the offset is not known."""
    return _to_moment(text) if len(text) == 19 else to_instant(at)


def to_instant(at: float) -> str:
    """Of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def without_empty(resource: Resource) -> Resource:
    """What says something."""
    return {key: value for key, value in resource.items() if value not in ("", [], {})}
