"""Types of values that several sections have, and what a section is."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

from node.services import find_uid


def _check_title(title: str) -> str:
    """Spaces around a title count for nothing (PS3.5 6.2, AE)."""
    title = title.strip(" ")
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", title):
        raise ValueError("an AE title has 1 to 16 characters of ASCII, and no backslash")
    return title


AeTitle = Annotated[str, AfterValidator(_check_title)]


def _check_address(address: str) -> str:
    found = re.fullmatch(r"[^\s:]+:(\d{1,5})", address)
    if not found:
        raise ValueError(f'{address!r} is no address: write host:port, as in "pacs.hospital.test:11112"')
    if int(found[1]) > 65535:
        raise ValueError(f"{address!r}: ports end at 65535")
    return address


Address = Annotated[str, AfterValidator(_check_address)]


Door = Annotated[str, AfterValidator(lambda address: address and _check_address(address))]
"""An address, or "" for none."""


Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+$")]


WebRoot = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s?#]+)?$")]


Plain = str | int | float | bool


def _to_network(text: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f'{text!r} is no network: write "10.1.0.0/16", or "10.1.2.3" for one machine') from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_to_network)]


def _to_uid(name: str) -> str:
    uid = find_uid(name)
    if uid is None:
        raise ValueError(f"{name!r} is no SOP class or transfer syntax that the door speaks")
    return uid


SpokenUid = Annotated[str, AfterValidator(_to_uid)]


class Section(BaseModel):
    """A section refuses keys that it does not know and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def check_durations(self) -> "Section":
        """Nothing lasts less than no time."""
        for name, value in self:
            if isinstance(value, timedelta) and value < timedelta(0):
                raise ValueError(f"{name} is less than nothing")
        return self
