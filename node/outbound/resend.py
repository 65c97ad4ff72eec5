"""An operator has the results of a job sent again: the same objects, the same uids, whatever became of them before."""

import time
from pathlib import Path

from node.errors import UnknownJob
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import Job, State

ENDED = (State.CONFIRMED, State.FAILED)
TEXT = "an operator had it sent again"


def resend(ledger: Ledger, job: Job, outbox: Path, peer: str = "") -> int:
    """Everything of `job` that was sent, or was to be sent, goes again to `peer`, or to each of its destinations; how
    many deliveries wait now. An open circuit is tried at once.

    Raises UnknownJob saying why when the job has not ended, or when there is nothing that could be sent.
    """
    if job.state not in ENDED:
        raise UnknownJob(f"job {job.id} is {job.state}; only a CONFIRMED or FAILED job is sent again")
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
    destinations = sorted({delivery.destination for delivery in sent})
    number = ledger.resend(job, destinations, now, f"{TEXT} to {', '.join(destinations)}")
    for destination in destinations:
        ledger.hurry_circuit(destination, now)
    return number
