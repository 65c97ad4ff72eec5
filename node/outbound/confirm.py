"""Delivered is not confirmed: a job ends only when its destinations say that they keep the objects.

Storage commitment as a client (PS3.4 annex J): an N-ACTION asks, an N-EVENT-REPORT on the same association or on a new
one answers. Or a query: the destination is asked by C-FIND whether it holds the instance.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom.association import Association

from node.dicom.uids import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    STUDY_ROOT_FIND,
)
from node.errors import LostLease
from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState
from node.model.job import Job, State
from node.outbound.reactor import hold_reactor

log = logging.getLogger(__name__)

KEPT = {DeliveryState.KEPT, DeliveryState.REPLACED}
DONE = KEPT | {DeliveryState.REFUSED}


def ask_commitment(association: Association, deliveries: Sequence[Delivery], transaction_uid: str) -> int | None:
    """Asks the peer to commit to `deliveries`; returns the DIMSE status of the N-ACTION, None without an answer."""
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for delivery in deliveries:
        item = Dataset()
        item.ReferencedSOPClassUID = delivery.object.sop_class_uid
        item.ReferencedSOPInstanceUID = delivery.object.sop_instance_uid
        request.ReferencedSOPSequence.append(item)
    with hold_reactor(association):
        status, _ = association.send_n_action(
            request, 1, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
        )
    return int(status.Status) if "Status" in status else None


def settle_report(ledger: Ledger, report: Dataset, retry_at: float) -> bool:
    """Writes what a storage commitment report says into the ledger; False when its transaction is not ours.

    What the peer failed to commit becomes PENDING again at `retry_at`: it is sent again.
    """
    deliveries = ledger.find_transaction(str(report.get("TransactionUID", "")))
    kept = {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence") or ()}
    failed = {
        str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", 0))
        for item in report.get("FailedSOPSequence") or ()
    }
    for delivery in deliveries:
        uid = delivery.object.sop_instance_uid
        if uid in failed:
            answer = f"commitment refused, reason 0x{failed[uid]:04X}"
            ledger.move_delivery(delivery, DeliveryState.PENDING, answer, retry_at)
            log.warning("%s does not keep %s: %s", delivery.destination, uid, answer)
        elif uid in kept and delivery.state == DeliveryState.SENT:
            ledger.move_delivery(delivery, DeliveryState.KEPT, "committed", 0.0)
    return bool(deliveries)


def find_by_query(association: Association, delivery: Delivery, outbox: Path) -> bool:
    """True when the peer's C-FIND (Study Root, IMAGE level) lists the instance."""
    header = dcmread(outbox / delivery.object.path, stop_before_pixels=True)
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = header.StudyInstanceUID
    query.SeriesInstanceUID = header.SeriesInstanceUID
    query.SOPInstanceUID = delivery.object.sop_instance_uid
    with hold_reactor(association):
        answers = list(association.send_c_find(query, STUDY_ROOT_FIND))
    found = [match for status, match in answers if "Status" in status and status.Status in {0xFF00, 0xFF01}]
    return any(m is not None and m.get("SOPInstanceUID") == delivery.object.sop_instance_uid for m in found)


def settle_jobs(ledger: Ledger) -> None:
    """Moves every ENCODED or DELIVERED job as far as its deliveries allow."""
    for job in ledger.find_jobs(states=(State.ENCODED, State.DELIVERED)):
        try:
            _settle(ledger, job, ledger.find_deliveries(job.id))
        except LostLease:
            log.info("job %s moved on meanwhile", job.id)


def _settle(ledger: Ledger, job: Job, deliveries: Sequence[Delivery]) -> None:
    now = time.time()
    states = {delivery.state for delivery in deliveries}
    refused = [delivery for delivery in deliveries if delivery.state == DeliveryState.REFUSED]
    if refused and states <= DONE:
        first = refused[0]
        text = f"PeerRefused: {first.destination} will not take {first.object.modality}: {first.answer}"
        ledger.move_job(job, State.FAILED, now, "deliver", text)
        return
    if DeliveryState.PENDING in states:
        if job.state == State.DELIVERED:
            ledger.move_job(job, State.ENCODED, now, "confirm", "a destination does not keep what it took")
        return
    if job.state == State.ENCODED and not refused:
        sent = f"{len(deliveries)} objects sent" if deliveries else "no destination: results stay in the outbox"
        took = max((d.asked_at or now for d in deliveries), default=now) - min(
            (d.made_at for d in deliveries), default=now
        )
        job = ledger.move_job(job, State.DELIVERED, now, "deliver", sent, seconds={"deliver": max(took, 0.0)})
    if job.state == State.DELIVERED and states <= KEPT:
        took = now - max((d.asked_at or now for d in deliveries), default=now)
        answers = ", ".join(sorted({d.answer for d in deliveries})) or "asked for nothing"
        ledger.move_job(job, State.CONFIRMED, now, "confirm", answers, seconds={"confirm": max(took, 0.0)})
