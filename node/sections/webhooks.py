"""Who outside is told of what becomes of jobs."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from node.model.job import State
from node.sections.peers import WebAccess
from node.sections.values import Section

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s#@\\]+$")]

HookName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class HookEvent(StrEnum):
    """STATE: a job came to another state. NOTE: any other line of its history, such as "prior gathered"."""

    STATE = "state"
    NOTE = "note"


class Webhook(Section):
    """An address that is told of what becomes of jobs, signed as "Standard Webhooks" 1.0 says.

    secret_file: lines "whsec_" + base64 of 24 to 64 bytes; each line signs, so that a secret can be replaced without a
    gap. states, pipelines, events: of which it is told; an empty list is all. allow_http: without TLS to another
    machine. web: whose certificate is believed, and what we show beside the signature.
    """

    url: Url
    secret_file: Path
    states: list[State] = Field(default_factory=list)
    pipelines: list[str] = Field(default_factory=list)
    events: list[HookEvent] = Field(default_factory=lambda: [HookEvent.STATE])
    allow_http: bool = False
    web: WebAccess = WebAccess()

    @model_validator(mode="after")
    def check_line(self) -> "Webhook":
        """What leaves this machine is encrypted, unless somebody said that it need not be."""
        parts = urlsplit(self.url)
        if not parts.hostname:
            raise ValueError("url names no host")
        if parts.scheme == "http" and not self.allow_http and not is_loopback(parts.hostname):
            raise ValueError("url is http to another machine: use https, or say allow_http = true")
        return self


def is_loopback(host: str) -> bool:
    """True for this machine alone. A name other than "localhost" may mean any machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
