"""Logging in with the hospital's own identity provider."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from node.model.role import Role
from node.sections.values import Section
from node.sections.webhooks import is_loopback

Issuer = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#@\\]+$")]


class Oidc(Section):
    """OpenID Connect (Core 1.0, Discovery 1.0): authorization code with PKCE.

    issuer: as its tokens name it, to the letter. client_id, secret_file: who we are there; without a secret a public
    client. scopes: what is asked for. name_claim: how people are called in the audit. claim: names the groups of
    somebody, by dots where it lies deeper ("realm_access.roles"). roles: group -> role; of several the highest; who is
    in none may not come in. audience: of access tokens that programs may show as bearer, "" takes none; label: of the
    link on the login page. authorities: who signs the issuer's certificate, else those that the system trusts (PEM).
    """

    issuer: Issuer
    client_id: str = Field(min_length=1)
    secret_file: Path | None = None
    scopes: list[str] = Field(default_factory=lambda: ["openid", "profile"])
    name_claim: str = "preferred_username"
    claim: str = "groups"
    roles: dict[str, Role] = Field(min_length=1)
    audience: str = ""
    label: str = "Log in with your hospital account"
    authorities: Path | None = None

    @model_validator(mode="after")
    def check_trust(self) -> "Oidc":
        """What is believed comes by TLS, and a token that was made for the login opens nothing else."""
        parts = urlsplit(self.issuer)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("issuer is http on another machine: use https")
        if "openid" not in self.scopes:
            raise ValueError('scopes must have "openid"')
        if self.audience == self.client_id:
            raise ValueError("audience is that of our API and must not be client_id: ID tokens would open it")
        return self
