"""The queue, the workers, and what becomes of results and of what is finished."""

import random
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from node.sections.values import Section


class Queue(Section):
    """The doorbell. Without a url `wetread up` runs a broker of its own under `home`."""

    url: str = ""
    url_file: Path | None = None


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError(f'{device!r} is no device: write "auto", "cpu" or "cuda:0"')
    return device


Device = Annotated[str, AfterValidator(_check_device)]


class Work(Section):
    """The hands. device: "auto", "cpu", or "cuda:0"; lanes: those that this worker serves; lease: a worker silent for
    so long has lost its job; patience: a job that waits longer gets a turn among more urgent ones."""

    device: Device = "auto"
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

    trust: "code" lets it run its own Python and expressions outside the lists, and have its weights in TorchScript
    (.ts), whose loading is code too: only for what somebody of the site has read. memory_gb: address space of its
    process, where it computes on the CPU.
    """

    trust: Trust = Trust.NONE
    memory_gb: float = Field(default=24.0, gt=0)


class Pipeline(Section):
    """A pipeline, by its name. explain: one of the ways in which it can explain its answers, as its manifest lists
    them; empty for none."""

    explain: str = ""


class Keep(Section):
    """How long what is finished stays; what is not finished stays, whatever the disk.

    images: after the last image of a study whose jobs have all ended. failed: of one with a failed job, and of the
    results of that. results: after any other job ended. quarantine: refused bytes. free_gb: below so much free space
    the oldest finished studies go early.
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
