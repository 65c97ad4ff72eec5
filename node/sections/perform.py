"""Another manager's worklist, from which the node takes what it can read (IHE AIW-I, Pull and Triggered Pull)."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field, field_validator

from node.sections.values import Section


class PerformHow(StrEnum):
    """How it is learned that there is something to do: not at all, by asking, or by being told of it (and asking)."""

    NONE = "none"
    POLL = "poll"
    SUBSCRIBE = "subscribe"


class PerformBy(StrEnum):
    """By which wire: UPS-RS at `dicomweb`, or UPS Pull and Watch at `address`."""

    WEB = "web"
    DICOM = "dicom"


class Perform(Section):
    """Workitems of this peer that name one of our pipelines are claimed, read and answered.

    by: by default UPS-RS where the peer has `dicomweb`. every: between two looks at its list, of which `subscribe`
    needs few. label, station: only workitems with this Worklist Label, with this Scheduled Station Name Code; "" asks
    for all, of which those that are scheduled for another station are left alone. at_once: so many are held at a time.
    """

    how: PerformHow = PerformHow.NONE
    by: PerformBy | None = None
    every: timedelta = timedelta(seconds=30)
    label: str = Field(default="", max_length=64)
    station: str = Field(default="", max_length=64)
    at_once: int = Field(default=4, ge=1, le=1000)

    @field_validator("every")
    @classmethod
    def check_every(cls, every: timedelta) -> timedelta:
        """A manager is not asked without a pause."""
        if every < timedelta(seconds=0.1):
            raise ValueError("at least PT0.1S")
        return every

    @field_validator("label", "station")
    @classmethod
    def check_plain(cls, text: str) -> str:
        """One value, matched as it is."""
        if set(text) & set("\\*?,="):
            raise ValueError("is one value, without wildcards, commas, equals signs and backslashes")
        return text
