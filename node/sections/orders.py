"""What was ordered: how long it is waited for, and how long it is kept."""

from datetime import timedelta

from pydantic import Field

from node.sections.values import Section


class Orders(Section):
    """wait: a study that is complete waits so long, and no longer, for the answer of peers with `worklist = true`.
    keep: so long after it was told an order is kept, for it names people."""

    wait: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(0))
    keep: timedelta = timedelta(days=90)
