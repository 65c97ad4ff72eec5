"""Our own web service."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from node.model.role import Role
from node.sections.oidc import Oidc
from node.sections.values import Address, Network, Origin, Section, WebRoot

Viewer = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s{}]+\{study\}([^\s{}]|\{series\})*)?$")]


class Web(Section):
    """Status page, DICOMweb, health and metrics.

    anonymous: what somebody may who shows neither password nor token; by default nothing, but reading and storing as
    long as there are no users and only this machine gets there. users: by default users.toml under home. session: how
    long a browser stays logged in. cert, key: PEM, for HTTPS. behind_proxy: addresses of proxies whose word counts on
    who asks and by which scheme. public_url: the address under which clients see this service, where it is another.
    origins: sites whose pages may ask this service by a browser (CORS), as "https://viewer.hospital.test".
    most_results: of one search by QIDO-RS; a client asks for more by offset. viewer: address that opens a study in a
    viewer, {study} stands for its uid, {series} for that of the segmentation. viewer_port: where OHIF is served once it
    is installed, on the host of `listen`. oidc: people log in at the hospital's identity provider too.
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
    viewer: Viewer = ""
    oidc: Oidc | None = None
    viewer_port: int = Field(default=8044, ge=1, le=65535)

    @model_validator(mode="after")
    def check_pair(self) -> "Web":
        """Half a pair is a mistake."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert goes with key")
        return self

    @model_validator(mode="after")
    def check_oidc(self) -> "Web":
        """The provider sends browsers back to an address that it was told of."""
        if self.oidc is not None and not self.public_url:
            raise ValueError("oidc needs public_url, to which the identity provider sends browsers back")
        return self

    @model_validator(mode="after")
    def check_ports(self) -> "Web":
        """The viewer is kept apart from the pages by its port."""
        if self.viewer_port == self.port:
            raise ValueError(f"viewer_port = {self.viewer_port} is the port of listen: choose another one")
        return self

    @property
    def host(self) -> str:
        """Of `listen`."""
        return self.listen.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        """Of `listen`."""
        return int(self.listen.rsplit(":", 1)[1])
