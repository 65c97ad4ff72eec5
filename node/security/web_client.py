"""Our side of a DICOMweb server: who we are to it, and whose certificate we believe (PS3.18 8.11).

A token or password is read when a client is made, so that one that was renewed holds from the next time on; it is in no
settings, no log and no error.
"""

import os
from base64 import b64encode
from pathlib import Path

import httpx

from node.errors import PeerUnreachable
from node.sections import WebAccess
from node.security.tls import make_client_context


def make_web_client(access: WebAccess, answer_wait: float) -> httpx.Client:
    """A client that gives a server `answer_wait` seconds for each thing that it has to say, follows no redirection and
    uses no proxy of the environment. Raises PeerUnreachable naming the key whose file or variable is missing."""
    said = find_authorization(access)
    headers = {"Authorization": said} if said else {}
    timeout = httpx.Timeout(answer_wait, connect=min(5.0, answer_wait))
    return httpx.Client(headers=headers, timeout=timeout, verify=make_client_context(access, "web"), trust_env=False)


def find_authorization(access: WebAccess) -> str:
    """The Authorization header's value; "" where we say nothing. Raises PeerUnreachable like `make_web_client`."""
    if token := _read_secret("token", access.token_file, access.token_variable):
        return f"Bearer {token}"
    if access.user:
        secret = _read_secret("password", access.password_file, access.password_variable)
        return f"Basic {b64encode(f'{access.user}:{secret}'.encode()).decode()}"
    return ""


def _read_secret(what: str, place: Path | None, variable: str) -> str:
    if place is not None:
        try:
            secret = place.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise PeerUnreachable(f"web.{what}_file {place}: {type(error).__name__}") from None
        where = f"web.{what}_file {place}"
    elif variable:
        secret, where = os.environ.get(variable, "").strip(), f"web.{what}_variable {variable}"
    else:
        return ""
    if not secret or not secret.isprintable() or not secret.isascii():
        raise PeerUnreachable(f"{where} holds no {what}")
    return secret
