"""Is this token the provider's, meant for us, and does it still count? And what may its bearer do?

OpenID Connect Core 1.0, 3.1.3.7; RFC 8725: algorithms with public keys alone, whatever the token says of itself.
"""

import time
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from node.model.role import Role
from node.sections import Oidc
from node.web.access.oidc.provider import Provider
from node.web.refusal import Refusal

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
LEEWAY = 30.0
"""Seconds by which clocks may differ."""

LONGEST = 1 << 15
LOGGED_OUT = "http://schemas.openid.net/event/backchannel-logout"


def verify(token: str, provider: Provider, issuer: str, audience: str) -> dict[str, Any]:
    """The claims of `token`. Raises Refusal 401 with what is wrong with it, 502 when there are no keys to be had."""
    claims = _verify(token, provider, issuer, audience)
    if not _is_name(claims.get("sub")):
        raise _refuse("it names nobody")
    return claims


def _verify(token: str, provider: Provider, issuer: str, audience: str) -> dict[str, Any]:
    """Signature, issuer, audience and times."""
    claims = _read_claims(token, provider)
    now = time.time()
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if claims.get("iss") != issuer:
        raise _refuse("it is of another issuer")
    if not isinstance(audiences, list) or audience not in audiences:
        raise _refuse("it was made for somebody else")
    if not _is_time(claims.get("exp")) or claims["exp"] + LEEWAY <= now:
        raise _refuse("its time is over")
    if any(key in claims and not (_is_time(claims[key]) and claims[key] - LEEWAY <= now) for key in ("nbf", "iat")):
        raise _refuse("its time has not come")
    return claims


def verify_login(token: str, provider: Provider, rules: Oidc, nonce: str) -> dict[str, Any]:
    """The same of the ID token of a login that we began with `nonce`."""
    claims = verify(token, provider, rules.issuer, rules.client_id)
    if claims.get("nonce") != nonce:
        raise _refuse("it belongs to another login")
    if claims.get("azp", rules.client_id) != rules.client_id:
        raise _refuse("it was made for somebody else")
    return claims


def verify_logout(token: str, provider: Provider, rules: Oidc) -> dict[str, Any]:
    """The claims of a logout token (Back-Channel Logout 1.0, 2.6): of "sub" and "sid" there is one at least."""
    claims = _verify(token, provider, rules.issuer, rules.client_id)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGGED_OUT), dict):
        raise _refuse("it is about something else than a logout")
    if "nonce" in claims:
        raise _refuse("it has a nonce, as an ID token")
    if not _is_time(claims.get("iat")):
        raise _refuse("it does not say when it was made")
    if not _is_name(claims.get("jti")):
        raise _refuse("it has no identifier")
    named = [claims[key] for key in ("sub", "sid") if key in claims]
    if not named or not all(map(_is_name, named)):
        raise _refuse("it names nobody")
    return claims


def find_person(claims: dict[str, Any], rules: Oidc) -> tuple[str, Role]:
    """(name, role). The name is marked, so that nobody is taken for a local user. Raises Refusal 403 for who is in none
    of the groups of web.oidc.roles."""
    value: Any = claims
    for step in rules.claim.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    groups = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    name = claims.get(rules.name_claim)
    name = name if isinstance(name, str) and name and name.isprintable() else claims["sub"]
    roles = {rules.roles[group] for group in groups if isinstance(group, str) and group in rules.roles}
    for role in reversed(Role):
        if role in roles:
            return f"oidc:{name[:64]}", role
    raise Refusal(403, "the identity provider knows you, but none of your groups may come in here", close=True)


def find_bearer(provider: Provider, rules: Oidc, token: str) -> tuple[str, Role]:
    """Who shows an access token for our API (RFC 9068). Raises Refusal 401, 403, 502."""
    return find_person(verify(token, provider, rules.issuer, rules.audience), rules)


def _read_claims(token: str, provider: Provider) -> dict[str, Any]:
    if len(token) > LONGEST:
        raise _refuse("it is too long")
    for newer in (False, True):
        try:
            return dict(jwt.decode(token, provider.get_keys(newer=newer), algorithms=ALGORITHMS).claims)
        except InvalidKeyIdError:
            continue
        except (JoseError, ValueError, TypeError):
            break
    raise _refuse("its signature is not the provider's")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(why: str) -> Refusal:
    return Refusal(401, f"the identity provider's token does not count: {why}", close=True)
