"""The sections of the configuration: every key, what it means and its default."""

import random
import re
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from node.model.delivery import Kind
from node.model.job import Priority
from node.services import find_uid

AeTitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:\d{1,5}$")]
Plain = str | int | float | bool
Network = IPv4Network | IPv6Network


def _to_uid(name: str) -> str:
    uid = find_uid(name)
    if uid is None:
        raise ValueError(f"{name!r} is no SOP class or transfer syntax that the door speaks")
    return uid


SpokenUid = Annotated[str, AfterValidator(_to_uid)]


class Section(BaseModel):
    """A section refuses keys that it does not know and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(Section):
    """Who we are on the network and where we keep things."""

    ae_title: AeTitle = "WETREAD"
    listen: Address = "127.0.0.1:11112"
    home: Path = Path("home")


class Callers(StrEnum):
    """Which application entities that are no configured peer may send to us."""

    NONE = "none"
    LOOPBACK = "loopback"
    ANY = "any"


class Busy(StrEnum):
    """What the door does while more jobs wait than `listen.busy_jobs`."""

    ACCEPT = "accept"
    SLOW = "slow"
    REFUSE = "refuse"


class Tls(Section):
    """A second door that speaks TLS 1.2 or later (PS3.15 B.9). With `authorities` every caller must show a certificate
    signed by one of them. Files are PEM."""

    address: Address = "127.0.0.1:2762"
    certificate: Path
    key: Path
    authorities: Path | None = None


class Listen(Section):
    """The door. Limits hold for each listener process.

    max_half_open: connections that have not asked for an association yet; handshake_timeout: how long they may take.
    idle_timeout: an association silent for so long is aborted. max_pdu: the longest P-DATA we take, in bytes.
    max_association_gb: an association that brought more is aborted. max_stores_per_second: a faster peer is slowed; 0
    is no limit. inflate_ratio: a deflated dataset that grows more than so many times is refused.
    min_free_mb: below it 0xA700, and new associations for storage are refused for the time being.
    busy_jobs, when_busy: with more jobs than that unfinished, images are accepted as ever, slowed or refused.
    """

    processes: int = Field(default=1, ge=1, le=64)
    unknown_callers: Callers = Callers.LOOPBACK
    max_associations: int = Field(default=500, ge=1)
    max_associations_per_peer: int = Field(default=500, ge=1)
    max_half_open: int = Field(default=1024, ge=1)
    handshake_timeout: timedelta = timedelta(seconds=10)
    idle_timeout: timedelta = timedelta(seconds=60)
    max_pdu: int = Field(default=1 << 20, ge=4096, le=1 << 20)
    max_association_gb: int = Field(default=256, ge=1)
    max_stores_per_second: int = Field(default=0, ge=0)
    inflate_ratio: int = Field(default=100, ge=1)
    min_free_mb: int = Field(default=512, ge=0)
    busy_jobs: int = Field(default=1000, ge=1)
    when_busy: Busy = Busy.ACCEPT
    tls: Tls | None = None


class Confirm(StrEnum):
    """How a destination tells that it keeps what it took."""

    NONE = "none"
    COMMITMENT = "commitment"
    QUERY = "query"


class SegmentationForm(StrEnum):
    """How segments are encoded: a plane of bits for each, which all read, or one of numbers, which is smaller."""

    BINARY = "binary"
    LABELMAP = "labelmap"


class Peer(Section):
    """Another application entity.

    objects: the kinds of result objects that it is sent. segmentation: in which form; a peer that refuses label maps
    gets BINARY instead.
    networks: where it calls from, as CIDR ("10.1.0.0/16", "10.1.2.3"); by default the host of its address.
    tls_name: it must call by TLS, with a certificate that has this common name or DNS name.
    sop_classes, transfer_syntaxes: what it may send, by UID, keyword or name; empty is all.
    """

    ae_title: AeTitle
    address: Address
    send: bool = False
    confirm: Confirm = Confirm.NONE
    objects: list[Kind] = Field(default_factory=lambda: [Kind.SEGMENTATION, Kind.REPORT], min_length=1)
    segmentation: SegmentationForm = SegmentationForm.BINARY
    networks: list[Network] = Field(default_factory=list)
    tls_name: str = ""
    sop_classes: list[SpokenUid] = Field(default_factory=list)
    transfer_syntaxes: list[SpokenUid] = Field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])


class Completeness(Section):
    """When a study is complete: all its associations are released and `quiet` passed since the last image.

    broken: how long the sender of an association that broke off is given to come again. give_up: how long an
    association that stays open and silent is waited for. After either the study counts as possibly incomplete.
    """

    quiet: timedelta = timedelta(seconds=30)
    broken: timedelta = timedelta(minutes=2)
    give_up: timedelta = timedelta(minutes=30)


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


class Route(Section):
    """Sources x conditions -> pipeline -> destinations. Each series that meets every condition of `when` is read."""

    name: str
    sources: list[str] = Field(default_factory=list, alias="from")
    when: When = Field(default_factory=dict)
    pipeline: str
    deliver: list[str] = Field(default_factory=list)
    priority: Priority = Priority.ROUTINE


class Queue(Section):
    """The doorbell. Without a url `wetread up` runs a broker of its own under `home`."""

    url: str = ""
    url_file: Path | None = None


class Work(Section):
    """The hands. device: "auto", "cpu", or "cuda:0"; lease: a worker silent for so long has lost its job."""

    device: str = "auto"
    lease: timedelta = timedelta(seconds=15)
    attempts: int = Field(default=3, ge=1)
    warm: bool = True


class Keep(Section):
    """How long what is finished stays; what is not finished stays, whatever the disk.

    images: after the last image of a study whose jobs have all ended. failed: of one with a failed job. results: after
    a job ended. quarantine: refused bytes. free_gb: below so much free space the oldest finished studies go early.
    """

    images: timedelta = timedelta(days=30)
    failed: timedelta = timedelta(days=90)
    results: timedelta = timedelta(days=30)
    quarantine: timedelta = timedelta(days=90)
    free_gb: float = Field(default=10.0, ge=0)


class Deliver(Section):
    """Sending results: first and longest wait between tries, and when to give a destination up."""

    retry_first: timedelta = timedelta(seconds=2)
    retry_longest: timedelta = timedelta(minutes=30)
    give_up: timedelta = timedelta(days=3)
    commit_wait: timedelta = timedelta(minutes=2)

    def find_pause(self, attempts: int) -> float:
        """Seconds before the next try after `attempts`: it doubles from the first to the longest, and no two peers keep
        step."""
        wait = self.retry_first.total_seconds() * float(2 ** min(attempts, 30))
        return min(wait, self.retry_longest.total_seconds()) * random.uniform(0.8, 1.2)


class Web(Section):
    """Health, metrics and the status page."""

    listen: Address = "127.0.0.1:8042"
