"""`wetread users`: who may use the web service, and as what. Changes count at once, without a restart."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from node.config import load_settings
from node.errors import ConfigError
from node.model.role import Role
from node.options import ConfigFile
from node.web.access.users import User, UserFile, find_users
from node.web.audit import find_audit

app = typer.Typer(no_args_is_help=True, help="Users of the web service: passwords, tokens and roles.")
out = Console()

Name = Annotated[str, typer.Argument(help="letters, digits, '.', '_' and '-'")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer reads, operator stores and retries, admin rules over users")],
    by_token: Annotated[bool, typer.Option("--no-password", help="tokens alone, for programs")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Add a user, or change role and password of one. The password is asked for, or read from standard input."""
    users = _open(config_file, f"users add {name} {role}")
    users.add(name, role, "" if by_token else _ask_password())
    out.print(f"{name} is {role}")


@app.command()
def remove(name: Name, config_file: ConfigFile = None) -> None:
    """Remove a user with all tokens; open sessions end."""
    _open(config_file, f"users remove {name}").remove(name)
    out.print(f"{name} is removed")


@app.command()
def token(
    name: Name,
    days: Annotated[int, typer.Option(min=0, help="it counts for so many days; 0 for ever")] = 365,
    revoke: Annotated[str, typer.Option(help="the id of a token that no longer counts")] = "",
    config_file: ConfigFile = None,
) -> None:
    """Make a token for programs ("Authorization: Bearer ..."); it is shown this once and kept as a hash."""
    users = _open(config_file, f"users token {name} {f'revoke {revoke}' if revoke else 'new'}")
    if revoke:
        users.remove_token(name, revoke)
        out.print(f"{revoke} no longer counts")
    else:
        print(users.add_token(name, days))  # noqa: T201  alone on its line, for scripts


@app.command("list")
def list_users(config_file: ConfigFile = None) -> None:
    """List users, their roles, and how they may log in."""
    table = Table("name", "role", "password", "tokens (id: made, expires)")
    for user in find_users(load_settings(config_file)).read().values():
        table.add_row(user.name, user.role, "yes" if user.password else "no", _tell_tokens(user))
    out.print(table)


def _open(config_file: Path | None, action: str) -> UserFile:
    settings = load_settings(config_file)
    find_audit(settings).write(f"os:{getpass.getuser()}", "", action, "asked")
    return find_users(settings)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            raise ConfigError("the two are not the same")
    if not password:
        raise ConfigError("no password; for a user with tokens alone say --no-password")
    return password


def _tell_tokens(user: User) -> str:
    return "\n".join(
        f"{one.id}: {one.made:%Y-%m-%d}, {one.expires.strftime('%Y-%m-%d') if one.expires else 'never'}"
        for one in user.tokens
    )
