"""Which deliveries go together, and in which order: the lanes of a destination that is served on several associations.

What names a segmentation that may yet be replaced waits for its fate, so all of a job that has a substitute is one unit
and stays in one lane, in the order in which it was made. The rest is independent.
"""

from collections.abc import Callable, Iterator, Sequence

from node.model.delivery import Delivery, Kind

Size = Callable[[Delivery], int]
"""Bytes of the object."""


def is_replaceable(delivery: Delivery) -> bool:
    """A segmentation in a form that not every peer takes."""
    return delivery.object.kind == Kind.SEGMENTATION and bool(delivery.object.substitute)


def split(deliveries: Sequence[Delivery], most: int, find_size: Size) -> list[list[Delivery]]:
    """At most `most` lanes of about the same size, none empty; each keeps the order of `deliveries`."""
    units: dict[str, list[int]] = {}
    for at, delivery in enumerate(deliveries):
        key = delivery.job_id if delivery.object.substitute else delivery.object.sop_instance_uid
        units.setdefault(key, []).append(at)
    weights = {key: sum(find_size(deliveries[at]) for at in unit) for key, unit in units.items()}
    lanes: list[list[int]] = [[] for _ in range(min(most, len(units)))]
    loads = [0] * len(lanes)
    for key in sorted(units, key=lambda key: -weights[key]):
        lightest = loads.index(min(loads))
        lanes[lightest] += units[key]
        loads[lightest] += max(weights[key], 1)
    return [[deliveries[at] for at in sorted(lane)] for lane in lanes]


def make_batches(deliveries: Sequence[Delivery], most: int) -> Iterator[list[Delivery]]:
    """In order, at most `most` at once; one with a substitute goes alone, since what follows depends on its answer."""
    batch: list[Delivery] = []
    for delivery in deliveries:
        if batch and (len(batch) >= most or delivery.object.substitute):
            yield batch
            batch = []
        batch.append(delivery)
        if delivery.object.substitute:
            yield batch
            batch = []
    if batch:
        yield batch
