"""What somebody may who shows neither password nor token."""

from ipaddress import ip_address

from node.config import Settings
from node.errors import ConfigError
from node.model.role import Role
from node.web.access.users import UserFile, find_users


def is_here_only(settings: Settings) -> bool:
    """True when only this machine reaches the web role."""
    host = settings.web.host
    try:
        near = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        near = host == "localhost"
    return near and not settings.web.behind_proxy


def find_role(settings: Settings, users: UserFile) -> Role | None:
    """What somebody may now who shows nothing: as web.anonymous says; else everything but rule on this machine alone
    while there are no users and no identity provider; else nothing."""
    if settings.web.anonymous is not None:
        return settings.web.anonymous
    nobody = not users.read() and settings.web.oidc is None
    return Role.OPERATOR if is_here_only(settings) and nobody else None


def find_anonymous(settings: Settings) -> Role | None:
    """The same for a node that starts. Raises ConfigError when nobody at all could come in from elsewhere."""
    users = find_users(settings)
    role = find_role(settings, users)
    if role is not None or users.read() or settings.web.oidc:
        return role
    raise ConfigError(
        f"web.listen = {settings.web.listen!r} can be reached from other machines and there are no users in "
        f"{users.path}: add one (wetread users add NAME --role admin), or let in everybody who gets there by "
        'web.anonymous = "viewer"'
    )
