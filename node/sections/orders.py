"""What was ordered: how long it is waited for, and how long it is kept."""

from datetime import timedelta

from pydantic import Field

from node.sections.values import Section


class Orders(Section):
    """wait: a study that is complete waits so long, and no longer, for the answer of peers with `worklist = true`.
    again: so often they are asked once more for the order of a study whose jobs wait. keep: so long after it was told
    an order is kept, for it names people."""

    wait: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(0))
    again: timedelta = Field(default=timedelta(minutes=5), ge=timedelta(seconds=1))
    keep: timedelta = timedelta(days=90)
