"""When a study is complete, which routes want it, and what they fetch and when."""

import re
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from node.model.job import Late, Priority
from node.sections.values import Plain, Section


class OnGiveUp(StrEnum):
    """What becomes of a study that was waited for in vain: it is processed as it is, its jobs fail by name until an
    operator runs them, or it goes on waiting for `wetread complete`."""

    PROCESS = "process"
    FAIL = "fail"
    ASK = "ask"


class Completeness(Section):
    """When a study is complete: all its associations are released and `quiet` passed since the last image.

    broken: how long the sender of an association that broke off is given to come again. give_up: how long, since the
    last image, an association that stays open and silent is waited for, and what is known to be missing. After either
    the study counts as possibly incomplete, and on_give_up decides.
    """

    quiet: timedelta = timedelta(seconds=30)
    broken: timedelta = timedelta(minutes=2)
    give_up: timedelta = timedelta(minutes=30)
    on_give_up: OnGiveUp = OnGiveUp.PROCESS


def _to_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


class Condition(Section):
    """What is asked of one attribute; of several questions each must be met.

    any: one of its values is among these. none: no value of it is. min, max: one of its values is a number within.
    like: a regular expression that is found in one of its values, whatever the case. absent: true when it must be
    absent or empty, false when it must not.
    """

    any: list[Plain] = Field(default_factory=list)
    none: list[Plain] = Field(default_factory=list)
    min: float | None = None
    max: float | None = None
    like: Annotated[str, AfterValidator(_to_pattern)] = ""
    absent: bool | None = None

    @model_validator(mode="after")
    def check_asks(self) -> "Condition":
        """An empty condition is a mistake."""
        if not self.model_fields_set:
            raise ValueError("asks nothing: any, none, min, max, like or absent")
        return self


def _to_condition(value: Any) -> Any:
    """ "CT" and ["CT", "MR"] are short for { any = [...] }."""
    if isinstance(value, Condition | dict):
        return value
    return {"any": value if isinstance(value, list) else [value]}


When = dict[str, Annotated[Condition, BeforeValidator(_to_condition)]]
"""By DICOM keyword; "RequestedProcedureCodeSequence.CodeValue" is within the items of a sequence."""


class Gather(Section):
    """What is fetched before a job of the route may run.

    from: peers that are asked, in this order. priors: at most so many earlier studies of the patient, the newest first.
    modality, body_part: of a prior; by default the modality of the study itself and any part. within: how much older
    it may be (a year has 365 days). description: asked of the description of the study and of its series.
    wait: after it the job runs without. required: without a prior the job fails instead (PriorMissing).
    missing: of a study that completeness gave up on, the images that it lacks are fetched too.
    """

    sources: list[str] = Field(alias="from", min_length=1)
    priors: int = Field(default=0, ge=0, le=10)
    modality: str = ""
    body_part: str = ""
    within: timedelta = timedelta(days=3 * 365)
    description: Annotated[Condition, BeforeValidator(_to_condition)] | None = None
    wait: timedelta = timedelta(minutes=2)
    required: bool = False
    missing: bool = False

    @model_validator(mode="after")
    def check_asks(self) -> "Gather":
        """What gathers nothing is a mistake, and so is a prior that is required and never asked for."""
        if not self.priors and (self.required or not self.missing):
            raise ValueError("gathers nothing: priors = 1, or missing = true")
        return self


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Schedule(Section):
    """When a route's jobs may start, by the clock of this machine's time zone.

    from, to: "20:00"; where `to` is the earlier one, the next day's. days: on which it opens.
    """

    opens: time = Field(alias="from")
    closes: time = Field(alias="to")
    days: list[Day] = Field(default_factory=lambda: list(get_args(Day)), min_length=1)

    @model_validator(mode="after")
    def check_hours(self) -> "Schedule":
        """It opens and closes at different times, of no zone but the machine's."""
        if self.opens == self.closes:
            raise ValueError("opens and closes at the same time")
        if self.opens.tzinfo or self.closes.tzinfo:
            raise ValueError("is in this machine's time zone; leave the zone out")
        return self


class Route(Section):
    """Sources x conditions -> pipeline -> destinations. Each series that meets every condition of `when` is read.

    study: a condition on the whole: at least one image series meets every one of these, be it read or not.
    late: what images do that come after the study was closed. after: name of a route or pipeline whose job of the same
    study comes first; its result objects are there when this one's job runs. schedule: when jobs may start.
    tell: names under [messages] of who is told of the result by HL7 or FHIR.
    expects: the study is waited for until each of these is met by at least one of its image series.
    priority: by default that of the order, or routine where none is known.
    """

    name: str
    sources: list[str] = Field(default_factory=list, alias="from")
    when: When = Field(default_factory=dict)
    expects: list[Annotated[When, Field(min_length=1)]] = Field(default_factory=list)
    pipeline: str
    deliver: list[str] = Field(default_factory=list)
    priority: Priority | None = None
    tell: list[str] = Field(default_factory=list)
    gather: Gather | None = None
    study: When = Field(default_factory=dict)
    late: Late = Late.REPLACE
    after: str = ""
    schedule: Schedule | None = None
