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
from node.outbound.moment import Moment
from node.outbound.reactor import hold_reactor
from node.sections import Deliver

log = logging.getLogger(__name__)

MEANINGS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason of a storage commitment report (PS3.3 C.14.1.1)."""

NEVER = {0x0119, 0x0122}
BUSY = {0x0110, 0x0131, 0x0213}
"""The peer may hold the object all the same: it is asked again before anything is sent again."""

ASKS = 3
"""How often a peer is asked before what it does not answer for is sent again."""

NO_PLACE = "cannot be asked: the series is not known, and the file is gone from the outbox"

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
    try:
        with hold_reactor(association):
            status, _ = association.send_n_action(
                request, 1, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
            )
    except RuntimeError:  # the peer has ended the association
        return None
    return int(status.Status) if "Status" in status else None


def settle_report(ledger: Ledger, report: Dataset, rules: Deliver) -> bool:
    """Writes what a storage commitment report says into the ledger; False when its transaction is not ours, or is about
    an earlier sending.

    What was settled already stays so: a report that comes twice is harmless. What the peer does not hold is sent again,
    what it denies alike at one time.
    """
    moment = Moment(rules)
    deliveries = ledger.find_transaction(str(report.get("TransactionUID", "")))
    kept = {str(item.get("ReferencedSOPInstanceUID", "")) for item in report.get("ReferencedSOPSequence") or ()}
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): int(item.get("FailureReason") or 0)
        for item in report.get("FailedSOPSequence") or ()
    }
    for delivery in deliveries:
        uid = delivery.object.sop_instance_uid
        if delivery.state != DeliveryState.SENT:
            continue
        if uid in failed:
            _settle_denial(ledger, delivery, failed[uid], rules, moment)
        elif uid in kept:
            ledger.move_delivery(delivery, DeliveryState.KEPT, "committed", 0.0)
    return bool(deliveries)


def _settle_denial(ledger: Ledger, delivery: Delivery, reason: int, rules: Deliver, moment: Moment) -> None:
    """The peer answers for itself that it does not commit to one object (PS3.3 C.14.1.1)."""
    meaning = MEANINGS.get(reason, "")
    answer = f"commitment denied, 0x{reason:04X} ({meaning})" if meaning else f"commitment denied, 0x{reason:04X}"
    log.warning("%s does not keep %s: %s", delivery.destination, delivery.object.sop_instance_uid, answer)
    if moment.now - delivery.made_at > rules.give_up.total_seconds():
        ledger.move_delivery(delivery, DeliveryState.REFUSED, f"gave up: {answer}", 0.0)
    elif reason in NEVER:
        ledger.move_delivery(delivery, DeliveryState.REFUSED, answer, 0.0)
    elif reason in BUSY and delivery.asks < ASKS:
        ledger.move_delivery(delivery, DeliveryState.SENT, answer, moment.find_next_ask(delivery.asks))
    else:
        again = moment.find_next_try(max(delivery.attempts - 1, 0))
        ledger.move_delivery(delivery, DeliveryState.PENDING, answer, again)


def find_by_query(
    association: Association, delivery: Delivery, ledger: Ledger, outbox: Path
) -> tuple[bool | None, str]:
    """(whether the peer's C-FIND, Study Root, IMAGE level, lists the instance, what was seen); None when the peer did
    not say."""
    place = find_place(delivery, ledger, outbox)
    if place is None:
        return None, NO_PLACE
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = place
    query.SOPInstanceUID = delivery.object.sop_instance_uid
    try:
        with hold_reactor(association):
            answers = list(association.send_c_find(query, STUDY_ROOT_FIND))
    except ValueError:
        return None, "does not offer C-FIND: set its `confirm` to commitment or none"
    except RuntimeError:
        return None, "ended the association before it was asked"
    listed = any(
        match is not None and match.get("SOPInstanceUID") == delivery.object.sop_instance_uid
        for status, match in answers
        if "Status" in status and status.Status in {0xFF00, 0xFF01}
    )
    last = answers[-1][0] if answers else Dataset()
    if listed or ("Status" in last and last.Status == 0x0000):
        return listed, "C-FIND"
    seen = f"0x{last.Status:04X}" if "Status" in last else "nothing"
    return None, f"answers {seen} to C-FIND"


def find_place(delivery: Delivery, ledger: Ledger, outbox: Path) -> tuple[str, str] | None:
    """(Study Instance UID, Series Instance UID) of what was sent. Of a row that an older version made, the file knows
    the series; None when it is gone."""
    study, series = ledger.get_job(delivery.job_id).study_uid, delivery.object.series_uid
    if series:
        return study, series
    try:
        header = dcmread(outbox / delivery.object.path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    except OSError:
        return None
    return study, str(header.SeriesInstanceUID)


def settle_query(ledger: Ledger, delivery: Delivery, listed: bool | None, seen: str, rules: Deliver) -> None:
    """What the peer lists is KEPT. What it does not list may not be in its index yet: it is asked for again some times,
    then sent again. Where it did not say, it is asked again."""
    now = time.time()
    if listed:
        ledger.move_delivery(delivery, DeliveryState.KEPT, "found by query", 0.0, asked=("", now))
    elif listed is None:
        log.warning("%s: %s", delivery.destination, seen)
        again = now + rules.find_commit_pause(delivery.asks)
        ledger.move_delivery(delivery, DeliveryState.SENT, seen, again, asked=("", now))
    elif delivery.asks + 1 < ASKS:
        again = now + rules.find_pause(delivery.asks)
        ledger.move_delivery(delivery, DeliveryState.SENT, "taken, but not listed yet", again, asked=("", now))
    else:
        again = now + rules.find_pause(max(delivery.attempts - 1, 0))
        text = "the peer answered success, but does not list the instance"
        log.warning("%s does not list %s: it is sent again", delivery.destination, delivery.object.sop_instance_uid)
        ledger.move_delivery(delivery, DeliveryState.PENDING, text, again)


def keep_unasked(ledger: Ledger, sent: Sequence[Delivery]) -> None:
    """Their success is all that is asked for."""
    for delivery in sent:
        text = "sent, confirmation not asked for"
        ledger.move_delivery(delivery, DeliveryState.KEPT, text, 0.0, asked=("", time.time()))


def settle_jobs(ledger: Ledger, notify: Sequence[str] = ()) -> None:
    """Moves every ENCODED or DELIVERED job as far as its deliveries allow; what merely waits costs nothing.
    notify: peers that are to be told of what becomes CONFIRMED."""
    for job in ledger.find_movable():
        try:
            _settle(ledger, job, ledger.find_deliveries(job.id), notify)
        except LostLease:
            log.info("job %s moved on meanwhile", job.id)


def _settle(ledger: Ledger, job: Job, deliveries: Sequence[Delivery], notify: Sequence[str] = ()) -> None:
    now = time.time()
    states = {delivery.state for delivery in deliveries}
    refused = [delivery for delivery in deliveries if delivery.state == DeliveryState.REFUSED]
    if refused and states <= DONE:
        first = refused[0]
        text = f"PeerRefused: {first.destination} will not take {first.object.modality}: {first.answer}"
        ledger.move_job(job, State.FAILED, now, "deliver", text)
        log.error("job %s failed: %s", job.id, text)
        return
    if DeliveryState.PENDING in states:
        if job.state == State.DELIVERED:
            ledger.move_job(job, State.ENCODED, now, "confirm", "a destination does not keep what it took")
        return
    if job.state == State.ENCODED and not refused:
        sent = _describe(deliveries)
        took = max((d.asked_at or now for d in deliveries), default=now) - min(
            (d.made_at for d in deliveries), default=now
        )
        job = ledger.move_job(job, State.DELIVERED, now, "deliver", sent, seconds={"deliver": max(took, 0.0)})
    if job.state == State.DELIVERED and states <= KEPT:
        took = now - max((d.asked_at or now for d in deliveries), default=now)
        answers = ", ".join(sorted({d.answer for d in deliveries})) or "asked for nothing"
        seconds = {"confirm": max(took, 0.0)}
        ledger.move_job(job, State.CONFIRMED, now, "confirm", answers, seconds=seconds, notify=notify)
        log.info("job %s is CONFIRMED: %s", job.id, answers)


def _describe(deliveries: Sequence[Delivery]) -> str:
    if not deliveries:
        return "no destination: results stay in the outbox"
    noted = sum(bool(delivery.note) for delivery in deliveries)
    return f"{len(deliveries)} objects sent" + (f", {noted} with a warning" if noted else "")
