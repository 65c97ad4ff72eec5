"""What became of an upload, as the Store Instances Response Module says it (PS3.18 annex I, table 10.5.3-1)."""

from collections.abc import Sequence
from typing import Any

from node.dicom.identity import Identity
from node.web.dicomweb.upload import OUT_OF_RESOURCES, STORED, Verdict

RETRIEVE_URL, FAILED, REFERENCED, OTHER_FAILURES = "00081190", "00081198", "00081199", "0008119A"
SOP_CLASS, SOP_INSTANCE, FAILURE_REASON = "00081150", "00081155", "00081197"


def find_status(verdicts: Sequence[Verdict]) -> int:
    """200 all are stored, 202 some are, 409 none is, 503 none is for want of room."""
    reasons = {verdict.reason for verdict in verdicts}
    if reasons == {STORED}:
        return 200
    if STORED in reasons:
        return 202
    return 503 if reasons == {OUT_OF_RESOURCES} else 409


def make_receipt(verdicts: Sequence[Verdict], base_url: str) -> dict[str, Any]:
    """DICOM JSON of one dataset. base_url: of the DICOMweb service, without a slash at its end."""
    stored = [v.identity for v in verdicts if v.reason == STORED and v.identity]
    failed = [(v.identity, v.reason) for v in verdicts if v.reason != STORED and v.identity]
    others = [v.reason for v in verdicts if v.identity is None]
    studies = {identity.study_uid for identity in stored}
    receipt: dict[str, Any] = {RETRIEVE_URL: {"vr": "UR"}}
    if len(studies) == 1:
        receipt[RETRIEVE_URL]["Value"] = [f"{base_url}/studies/{studies.pop()}"]
    if failed:
        receipt[FAILED] = _sequence([_name(identity) | _reason(reason) for identity, reason in failed])
    if stored:
        receipt[REFERENCED] = _sequence([_name(identity) | _address(identity, base_url) for identity in stored])
    if others:
        receipt[OTHER_FAILURES] = _sequence([_reason(reason) for reason in others])
    return receipt


def _name(identity: Identity) -> dict[str, Any]:
    return {
        SOP_CLASS: {"vr": "UI", "Value": [identity.sop_class_uid]},
        SOP_INSTANCE: {"vr": "UI", "Value": [identity.sop_instance_uid]},
    }


def _reason(reason: int) -> dict[str, Any]:
    return {FAILURE_REASON: {"vr": "US", "Value": [reason]}}


def _address(identity: Identity, base_url: str) -> dict[str, Any]:
    path = f"studies/{identity.study_uid}/series/{identity.series_uid}/instances/{identity.sop_instance_uid}"
    return {RETRIEVE_URL: {"vr": "UR", "Value": [f"{base_url}/{path}"]}}


def _sequence(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": items}
