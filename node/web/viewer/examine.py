"""Is the viewer there, and may it be served where it should? A line of `wetread doctor`."""

import errno
import socket

from node.config import Settings
from node.doctor import Check
from node.web.viewer.install import find_viewer

PATIENCE = 5.0
"""Seconds until what has the port answers."""


def examine_viewer(settings: Settings) -> Check:
    """Not to have it is well."""
    folder = find_viewer(settings.node.home)
    if folder is None:
        return Check("viewer", True, "not installed: `wetread viewer install` adds OHIF")
    web = settings.web
    try:
        with socket.create_server((web.host, web.viewer_port)):
            return Check(
                "viewer", True, f"OHIF {folder.name}, port {web.viewer_port} is free for the web role to serve it"
            )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            text = f"port {web.viewer_port} cannot be opened ({error.strerror}): check web.listen and web.viewer_port"
            return Check("viewer", False, text)
    return _ask(settings, folder.name)


def _ask(settings: Settings, version: str) -> Check:
    """What has the port. Behind TLS it is not asked; else it must speak as the guard does."""
    web = settings.web
    if web.cert:
        return Check("viewer", True, f"OHIF {version}, port {web.viewer_port} is in use: well if that is the web role")
    near = "127.0.0.1" if web.host == "0.0.0.0" else web.host  # noqa: S104  compared, not bound
    try:
        with socket.create_connection((near, web.viewer_port), PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = connection.recv(1 << 16)
    except OSError:
        answer = b""
    if b"x-content-type-options: nosniff" in answer.lower():
        return Check("viewer", True, f"OHIF {version} is served at port {web.viewer_port}")
    text = f"another program has port {web.viewer_port}: end that, or choose another web.viewer_port"
    return Check("viewer", False, text)
