"""Who we are, and the door: who may come in, and the limits."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from node.sections.values import Address, AeTitle, Section


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
