"""TLS where we are the one who calls."""

from pathlib import Path

from pydantic import model_validator

from node.sections.values import Section


class ClientTls(Section):
    """TLS to another system. authorities: who signs its certificate, else those that this system trusts. name: that its
    certificate must have, else the host of its address. certificate, key: what we show when it asks for one. Files are
    PEM."""

    authorities: Path | None = None
    name: str = ""
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def check_pair(self) -> "ClientTls":
        """Half a pair is a mistake."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate goes with key")
        return self
