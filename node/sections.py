"""The sections of the configuration: every key, what it means and its default."""

import random
import re
from datetime import time, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

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
from node.model.job import Late, Priority
from node.model.role import Role
from node.services import find_uid

AeTitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:\d{1,5}$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+$")]
WebRoot = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s?#]+)?$")]
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


class Retrieve(StrEnum):
    """How a peer's images are fetched: it sends them to our door (C-MOVE), on our own association (C-GET), or by
    WADO-RS."""

    MOVE = "move"
    GET = "get"
    WADO = "wado"


class DeliverBy(StrEnum):
    """How results reach a destination."""

    DICOM = "dicom"
    STOW = "stow"


class WebAccess(Section):
    """How we show a DICOMweb server who we are. A bearer token, or `user` with a password (RFC 6750, 7617); the value
    lies in a file or in an environment variable, is read each time that it is needed, and is never shown.

    authorities: who signs the server's certificate, else those that the system trusts. certificate, key: what we show
    when it asks for one. Files are PEM.
    """

    user: str = ""
    token_file: Path | None = None
    token_variable: str = ""
    password_file: Path | None = None
    password_variable: str = ""
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def check_one_way(self) -> "WebAccess":
        """One credential, in one place; half a pair is a mistake."""
        places = [self.token_file, self.token_variable, self.password_file, self.password_variable]
        if sum(bool(place) for place in places) > 1:
            raise ValueError("more than one of token_file, token_variable, password_file, password_variable")
        if bool(self.user) != bool(self.password_file or self.password_variable):
            raise ValueError("user goes with password_file or password_variable")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate goes with key")
        return self


class CountBy(StrEnum):
    """How a peer is asked how many instances of a study it has: not, by C-FIND, or by QIDO-RS at `dicomweb`."""

    NONE = "none"
    QUERY = "query"
    QIDO = "qido"


class Peer(Section):
    """Another application entity, or a DICOMweb server, or one that is both.

    objects: the kinds of result objects that it is sent. segmentation: in which form; a peer that refuses label maps
    gets BINARY instead.
    networks: where it calls from, as CIDR ("10.1.0.0/16", "10.1.2.3"); by default the host of its address.
    tls_name: it must call by TLS, with a certificate that has this common name or DNS name.
    sop_classes, transfer_syntaxes: what it may send, by UID, keyword or name; empty is all.
    web: who we are at its `dicomweb`. web_user: the user of our web service as whom it sends to us by STOW-RS.
    count_by: how it is asked, after it sent, whether that was all of the study; count_modalities: of series of these
    modalities alone, for one that sends no others.
    deliver_by: how results go to it; by default by C-STORE where it has an address, else by STOW-RS.
    associations: to so many at once, for a peer that is slow on each.
    query: it answers what we ask of its studies. retrieve: how it gives them; "wado" asks and fetches at `dicomweb`.
    dicomweb: root of its DICOMweb services (PS3.18), such as "https://pacs.hospital.test/dicom-web".
    """

    ae_title: AeTitle = ""
    address: Address = ""
    web: WebAccess = WebAccess()
    web_user: str = ""
    deliver_by: DeliverBy | None = None
    associations: int = Field(default=1, ge=1, le=8)
    send: bool = False
    count_by: CountBy = CountBy.NONE
    count_modalities: list[str] = Field(default_factory=list)
    confirm: Confirm = Confirm.NONE
    objects: list[Kind] = Field(default_factory=lambda: [Kind.SEGMENTATION, Kind.REPORT], min_length=1)
    segmentation: SegmentationForm = SegmentationForm.BINARY
    networks: list[Network] = Field(default_factory=list)
    tls_name: str = ""
    sop_classes: list[SpokenUid] = Field(default_factory=list)
    transfer_syntaxes: list[SpokenUid] = Field(default_factory=list)
    query: bool = False
    retrieve: Retrieve = Retrieve.MOVE
    dicomweb: WebRoot = ""

    @model_validator(mode="after")
    def check_reachable(self) -> "Peer":
        """It has an AE title and an address, or a DICOMweb server, or both, and what it is to do fits them."""
        if not self.dicomweb and not (self.ae_title and (self.address or self.web_user)):
            raise ValueError("needs ae_title and address, or dicomweb, or ae_title and web_user")
        if self.web_user and not self.ae_title:
            raise ValueError("web_user goes with ae_title, as which it counts when it sends")
        if "@" in self.dicomweb:
            raise ValueError("dicomweb: credentials belong under web, not into the address")
        if self.address and not self.ae_title:
            raise ValueError("address goes with ae_title")
        if self.deliver_by == DeliverBy.DICOM and not self.address:
            raise ValueError('deliver_by = "dicom" needs an address')
        if self.deliver_by == DeliverBy.STOW and not self.dicomweb:
            raise ValueError('deliver_by = "stow" needs dicomweb')
        if self.delivered_by == DeliverBy.STOW and self.confirm == Confirm.COMMITMENT:
            raise ValueError('what goes by STOW-RS is confirmed by "query" or "none"')
        return self

    @model_validator(mode="after")
    def check_query(self) -> "Peer":
        """It can be asked, and give what it is asked for, in the way of `retrieve`."""
        if self.query and self.retrieve == Retrieve.WADO and not self.dicomweb:
            raise ValueError("query with retrieve = 'wado' needs dicomweb")
        if self.query and self.retrieve != Retrieve.WADO and not self.address:
            raise ValueError(f"query with retrieve = '{self.retrieve}' needs ae_title and address")
        return self

    @model_validator(mode="after")
    def check_count(self) -> "Peer":
        """It can be asked in the way of `count_by`."""
        if self.count_by == CountBy.QIDO and not self.dicomweb:
            raise ValueError("count_by = 'qido' needs dicomweb")
        if self.count_by == CountBy.QUERY and not self.address:
            raise ValueError("count_by = 'query' needs ae_title and address")
        if self.count_by != CountBy.NONE and not self.ae_title:
            raise ValueError("count_by needs the ae_title with which it sends")
        return self

    @property
    def delivered_by(self) -> DeliverBy:
        """`deliver_by`, or what the peer has."""
        return self.deliver_by or (DeliverBy.DICOM if self.address else DeliverBy.STOW)

    @property
    def host(self) -> str:
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])


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
    expects: the study is waited for until each of these is met by at least one of its image series.
    """

    name: str
    sources: list[str] = Field(default_factory=list, alias="from")
    when: When = Field(default_factory=dict)
    expects: list[Annotated[When, Field(min_length=1)]] = Field(default_factory=list)
    pipeline: str
    deliver: list[str] = Field(default_factory=list)
    priority: Priority = Priority.ROUTINE
    gather: Gather | None = None
    study: When = Field(default_factory=dict)
    late: Late = Late.REPLACE
    after: str = ""
    schedule: Schedule | None = None


class Queue(Section):
    """The doorbell. Without a url `wetread up` runs a broker of its own under `home`."""

    url: str = ""
    url_file: Path | None = None


class Work(Section):
    """The hands. device: "auto", "cpu", or "cuda:0"; lanes: those that this worker serves; lease: a worker silent for
    so long has lost its job; patience: a job that waits longer gets a turn among more urgent ones."""

    device: str = "auto"
    lanes: list[Literal["gpu", "cpu", "io"]] = Field(default=["gpu", "cpu", "io"], min_length=1)
    lease: timedelta = timedelta(seconds=15)
    patience: timedelta = timedelta(minutes=10)
    attempts: int = Field(default=3, ge=1)
    warm: bool = True


class Trust(StrEnum):
    """Whether a MONAI bundle may run code of its own."""

    NONE = "none"
    CODE = "code"


class Bundle(Section):
    """A MONAI bundle, by the name of its pipeline.

    trust: "code" lets it run its own Python, TorchScript and expressions outside the lists: only for code that somebody
    of the site has read. memory_gb: address space of its process, where it computes on the CPU.
    """

    trust: Trust = Trust.NONE
    memory_gb: float = Field(default=24.0, gt=0)


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
    """Sending results: first and longest wait between tries, and when to give a destination up.

    answer_wait: a destination that says nothing for so long is taken for dead. open_circuit_after: consecutive failures
    to reach it, after which it is tried once a wait, whatever lies ready for it. commit_wait: until it is asked again
    whether it keeps what it took; that wait doubles too.
    """

    retry_first: timedelta = timedelta(seconds=2)
    retry_longest: timedelta = timedelta(minutes=30)
    give_up: timedelta = timedelta(days=3)
    commit_wait: timedelta = timedelta(minutes=2)
    answer_wait: timedelta = timedelta(minutes=1)
    open_circuit_after: int = Field(default=3, ge=1)

    def find_pause(self, attempts: int) -> float:
        """Seconds before the next try after `attempts`: it doubles from the first to the longest, and no two peers keep
        step."""
        return self._double(self.retry_first, attempts)

    def find_commit_pause(self, asks: int) -> float:
        """Seconds for which a peer that was asked to confirm, `asks` times before, may take to say so."""
        return self._double(self.commit_wait, asks)

    def _double(self, first: timedelta, times: int) -> float:
        longest = max(first, self.retry_longest).total_seconds()
        return min(first.total_seconds() * float(2 ** min(times, 30)), longest) * random.uniform(0.8, 1.2)


class Web(Section):
    """Status page, DICOMweb, health and metrics.

    anonymous: what somebody may who shows neither password nor token; by default nothing, but reading and storing as
    long as there are no users and only this machine gets there. users: by default users.toml under home. session: how
    long a browser stays logged in. cert, key: PEM, for HTTPS. behind_proxy: addresses of proxies whose word counts on
    who asks and by which scheme. public_url: the address under which clients see this service, where it is another.
    origins: sites whose pages may ask this service by a browser (CORS), as "https://viewer.hospital.test".
    most_results: of one search by QIDO-RS; a client asks for more by offset.
    """

    listen: Address = "127.0.0.1:8042"
    public_url: WebRoot = ""
    anonymous: Role | None = None
    users: Path | None = None
    session: timedelta = timedelta(hours=10)
    cert: Path | None = None
    key: Path | None = None
    behind_proxy: list[Network] = Field(default_factory=list)
    origins: list[Origin] = Field(default_factory=list)
    most_results: int = Field(default=1000, ge=1, le=100_000)

    @model_validator(mode="after")
    def check_pair(self) -> "Web":
        """Half a pair is a mistake."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert goes with key")
        return self
