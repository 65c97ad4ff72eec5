"""Passwords and tokens as they are kept: neither can be read back."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from functools import cache

COST, BLOCK, LANES = 1 << 15, 8, 1
"""scrypt's N, r and p: 32 MiB and some 80 ms for each try."""

SHORTEST = 12
"""Characters of a password."""

MARK = "wetread"
"""What a token begins with, so that scanners for lost secrets know it."""


def hash_password(password: str) -> str:
    """scrypt$N$r$p$salt$key, salt and key in base64."""
    salt = secrets.token_bytes(16)
    key = _derive(password, salt, COST, BLOCK, LANES)
    return "$".join(["scrypt", str(COST), str(BLOCK), str(LANES), b64encode(salt).decode(), b64encode(key).decode()])


def check_password(password: str, kept: str) -> bool:
    """Whether `password` is the one of which `kept` was made. Costs the same whatever it is."""
    scheme, cost, block, lanes, salt, key = kept.split("$")
    if scheme != "scrypt":
        return False
    return hmac.compare_digest(_derive(password, b64decode(salt), int(cost), int(block), int(lanes)), b64decode(key))


@cache
def find_nobody() -> str:
    """Tried for names that nobody has: an answer takes as long as for others."""
    return hash_password(secrets.token_hex())


def new_token() -> tuple[str, str, str]:
    """(its id, what the user is shown once, what is kept)."""
    name, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return name, f"{MARK}_{name}_{secret}", hash_token(secret)


def split_token(token: str) -> tuple[str, str]:
    """(id, secret); two empty strings when it is no token of ours."""
    mark, _, rest = token.partition("_")
    name, _, secret = rest.partition("_")
    return (name, secret) if mark == MARK and name and secret else ("", "")


def hash_token(secret: str) -> str:
    """SHA-256, which suffices: a token is no word that could be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _derive(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=1 << 27)
