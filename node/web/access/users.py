"""home/users.toml: names, roles, and what is kept of passwords and tokens. `wetread users` writes it."""

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.config import Settings
from node.durable import place_file
from node.errors import ConfigError
from node.model.role import Role
from node.web.access.hashes import SHORTEST, hash_password, new_token

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
HEAD = "# Written by `wetread users`. Neither passwords nor tokens can be read back from what is kept here.\n"


@dataclass(frozen=True, slots=True)
class Token:
    """kept: its hash. expires: when it no longer counts, UTC; None never."""

    id: str
    kept: str
    made: datetime
    expires: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it still counts."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class User:
    """password: as `hashes.hash_password` makes it; "" for one who has tokens alone."""

    name: str
    role: Role
    password: str = ""
    tokens: tuple[Token, ...] = field(default=())


class UserFile:
    """The users of a node. Reading is cheap: the file is read again when it was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._users: dict[str, User] = {}

    def read(self) -> dict[str, User]:
        """Users by name; none without a file. Raises ConfigError when the file is wrong."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._seen, self._users = None, {}
            return self._users
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            self._users = _parse(self.path)
            self._seen = seen
        return self._users

    def add(self, name: str, role: Role, password: str) -> None:
        """Adds a user, or gives one another role and, unless it is empty, another password. Raises ConfigError."""
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no user name: letters, digits, '.', '_' and '-', at most 32")
        if password and len(password) < SHORTEST:
            raise ConfigError(f"the password has fewer than {SHORTEST} characters")
        with self._change() as users:
            known = users.get(name, User(name, role))
            users[name] = replace(known, role=role, password=hash_password(password) if password else known.password)

    def remove(self, name: str) -> None:
        """Raises ConfigError when there is none of that name."""
        with self._change() as users:
            if users.pop(name, None) is None:
                raise ConfigError(f"no user {name!r}")

    def add_token(self, name: str, days: int = 0) -> str:
        """A new token for `name`, which counts for `days`, 0 for ever; it is shown this once. Raises ConfigError."""
        identifier, shown, kept = new_token()
        now = datetime.now(UTC).replace(microsecond=0)
        token = Token(identifier, kept, now, now + timedelta(days=days) if days else None)
        with self._change() as users:
            if name not in users:
                raise ConfigError(f"no user {name!r}")
            users[name] = replace(users[name], tokens=(*users[name].tokens, token))
        return shown

    def remove_token(self, name: str, identifier: str) -> None:
        """Raises ConfigError when the user has no such token."""
        with self._change() as users:
            tokens = users[name].tokens if name in users else ()
            left = tuple(token for token in tokens if token.id != identifier)
            if len(left) == len(tokens):
                raise ConfigError(f"user {name!r} has no token {identifier!r}")
            users[name] = replace(users[name], tokens=left)

    @contextmanager
    def _change(self) -> Iterator[dict[str, User]]:
        """The users, written when the block ends well; one change at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            users = _parse(self.path) if self.path.exists() else {}
            yield users
            part = self.path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(HEAD + "".join(_to_toml(users[name]) for name in sorted(users)))
            place_file(part, self.path)


def find_users(settings: Settings) -> UserFile:
    """The users of this node."""
    return UserFile(settings.web.users or settings.node.home / "users.toml")


def _to_toml(user: User) -> str:
    lines = [f'\n[users."{user.name}"]', f'role = "{user.role}"']
    if user.password:
        lines.append(f'password = "{user.password}"')
    for token in user.tokens:
        lines += [f'[[users."{user.name}".tokens]]', f'id = "{token.id}"', f'kept = "{token.kept}"']
        lines.append(f"made = {token.made.isoformat()}")
        if token.expires:
            lines.append(f"expires = {token.expires.isoformat()}")
    return "\n".join(lines) + "\n"


def _parse(path: Path) -> dict[str, User]:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        return {
            name: User(
                name,
                Role(row["role"]),
                row.get("password", ""),
                tuple(Token(t["id"], t["kept"], t["made"], t.get("expires")) for t in row.get("tokens", [])),
            )
            for name, row in data.get("users", {}).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not as `wetread users` writes it ({type(error).__name__})") from None
