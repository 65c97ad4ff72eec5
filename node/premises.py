"""Is what the configuration names there? The home, the files and the ports that the roles of this machine need.

Whoever starts a role or asks something of the ledger gets a sentence about the key, and no trace.
"""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from pydantic import BaseModel

from node.config import Settings
from node.errors import ConfigError

MAY = os.R_OK | os.W_OK
OURS = ("listen.tls.", "web.cert", "web.key", "hl7.tls.")
"""Files without which one of our own doors does not open. Others are read when they are needed."""

ANY = ("0.0.0.0", "[::]", "::")  # noqa: S104  compared, not bound


def prepare_home(settings: Settings) -> None:
    """Makes `node.home`, for its owner alone. Raises ConfigError when it cannot be made or written by this user."""
    home = settings.node.home
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"node.home = '{home}' cannot be made: {error.strerror}") from error
    ledger = home / "ledger.sqlite"
    for place, needs in ((home, MAY | os.X_OK), (ledger, MAY)):
        if place.exists() and not os.access(place, needs):
            raise ConfigError(f"{place} cannot be written by user {os.geteuid()}: node.home belongs to the node's user")


def require_ledger(settings: Settings, source: Path | None) -> None:
    """Raises ConfigError when no node ever ran on this home: an answer from an empty ledger would mislead.
    source: the configuration, None for none."""
    if not (settings.node.home / "ledger.sqlite").exists():
        hint = f"that is node.home in {source}" if source else "there is no wetread.toml here, --config FILE names one"
        raise ConfigError(f"no node has run on {settings.node.home} yet: {hint}")


def find_lacking(settings: Settings) -> list[str]:
    """Sentences on files that the configuration names and that cannot be read, and on doors that meet at a port."""
    return [*_find_unreadable(settings).values(), *_find_meeting(settings)]


def require_doors(settings: Settings) -> None:
    """Raises ConfigError when one of our own doors could not open."""
    unreadable = [text for key, text in _find_unreadable(settings).items() if key.startswith(OURS)]
    if lacking := [*unreadable, *_find_meeting(settings)]:
        raise ConfigError("; ".join(lacking))


def _find_unreadable(settings: Settings) -> dict[str, str]:
    """Key -> why its file cannot be read."""
    faults = {}
    for key, place in _find_files(settings):
        if key in {"node.home", "web.users"}:
            continue
        try:
            place.open("rb").close()
        except OSError as error:
            faults[key] = f"{key} = '{place}' cannot be read: {error.strerror}"
    return faults


def _find_files(section: BaseModel, key: str = "") -> Iterator[tuple[str, Path]]:
    """(key, file) of everything in `section` and below that names one."""
    for name, value in section:
        named = value.items() if isinstance(value, dict) else [("", value)]
        for one, inner in named:
            place = ".".join(part for part in (key, name, str(one)) if part)
            if isinstance(inner, BaseModel):
                yield from _find_files(inner, place)
            elif isinstance(inner, Path):
                yield place, inner


def _find_meeting(settings: Settings) -> Iterator[str]:
    """Two doors of one machine at one port."""
    doors = {"node.listen": settings.node.listen, "web.listen": settings.web.listen, "hl7.listen": settings.hl7.listen}
    if settings.listen.tls:
        doors["listen.tls.address"] = settings.listen.tls.address
    spread = {key: address.rsplit(":", 1) for key, address in doors.items() if address}
    for (key, (host, port)), (other, (near, gate)) in combinations(spread.items(), 2):
        if port == gate and (host == near or host in ANY or near in ANY):
            yield f"{key} and {other} have the same port, {port}"
