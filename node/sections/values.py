"""Types of values that several sections have, and what a section is."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

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
