"""An operator has the results of a job sent again: the same objects, the same uids, whatever became of them before."""

import time
from pathlib import Path

from node.errors import UnknownJob
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import Job, State

ENDED = (State.CONFIRMED, State.FAILED)
SENDABLE = (*ENDED, State.ENCODED)
TEXT = "an operator had it sent again"
AT_ONCE = "an operator had it tried at once"


def resend(ledger: Ledger, job: Job, outbox: Path, peer: str = "") -> int:
    """Everything of `job` that was sent, or was to be sent, goes again to `peer`, or to each of its destinations; how
    many deliveries wait now. Of one that is ENCODED, what still waits to be sent is tried at once, and so is an open
    circuit.

    Raises UnknownJob saying why when the job has no results to send, or when there is nothing that could be sent.
    """
    if job.state not in SENDABLE:
        raise UnknownJob(f"job {job.id} is {job.state}; only an ENCODED, CONFIRMED or FAILED job is sent")
    if job.superseded_by:
        raise UnknownJob(f"job {job.id} is superseded by job {job.superseded_by}, which speaks for the study")
    everything = ledger.find_deliveries(job.id)
    sent = [d for d in everything if peer in {"", d.destination} and d.state != DeliveryState.REPLACED]
    if not sent:
        to = f" for {peer}" if peer else ""
        raise UnknownJob(f"job {job.id} has nothing{to} that could be sent; `wetread retry` runs a failed one again")
    if gone := [d for d in sent if not (outbox / d.object.path).is_file()]:
        raise UnknownJob(f"job {job.id}: {len(gone)} of its objects are no longer in the outbox (keep.results)")
    now = time.time()
    if job.state == State.ENCODED:
        sent = [delivery for delivery in sent if delivery.state == DeliveryState.PENDING]
        if not sent:
            raise UnknownJob(f"job {job.id}: all of it was sent, and waits for the word that it is kept")
    destinations = sorted({delivery.destination for delivery in sent})
    to = ", ".join(destinations)
    if job.state == State.ENCODED:
        number = ledger.hurry_deliveries(job, destinations, now, f"{AT_ONCE}: {to}")
    else:
        number = ledger.resend(job, destinations, now, f"{TEXT} to {to}")
    for destination in destinations:
        ledger.hurry_circuit(destination, now)
    return number
