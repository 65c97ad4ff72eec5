"""The identity provider logs somebody out by itself: which tokens count, and which sessions they end."""

import json
import secrets
import time
from urllib.parse import urlencode

import pytest

from tests.node.web.identity_provider import CLIENT, SECOND
from tests.node.web.test_oidc import Browser, any_provider, browser, provider, quick, service  # noqa: F401  fixtures

LOGOUT = "/login/oidc/logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def sign(provider, **changes):  # noqa: F811
    claims = {"preferred_username": None, "groups": None, "jti": secrets.token_hex(8), "events": {EVENT: {}}}
    return provider.sign(**claims | changes)


def tell(service, token):  # noqa: F811
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    return service.ask("POST", LOGOUT, urlencode({"logout_token": token}), head)


def enter(service, provider, sub="17", sid="s1"):  # noqa: F811
    """A browser that is logged in."""
    browser = Browser(service, provider)  # noqa: F811
    provider.person = provider.person | {"sub": sub}
    provider.claims = lambda claims: claims | ({"sid": sid} if sid else {})
    assert browser.log_in()[0] == 200
    assert isinstance(browser.me(), dict)
    return browser


def test_a_logout_ends_the_sessions_of_that_subject_and_no_other(service, provider):  # noqa: F811
    first, second = enter(service, provider, sid="s1"), enter(service, provider, sid="")
    other = enter(service, provider, sub="18", sid="s2")
    status, said, body = tell(service, sign(provider, sub="17"))
    assert (status, body, said["Cache-Control"]) == (200, b"", "no-store")
    assert [first.me(), second.me()] == [401, 401]
    assert isinstance(other.me(), dict)
    (line,) = [line for line in service.audit() if line["action"] == "logout by oidc"]
    assert "closed" in line.values()
    assert line["sessions"] == 2


def test_a_logout_of_one_session_of_the_provider_leaves_the_others_of_the_subject(service, provider):  # noqa: F811
    first, second = enter(service, provider, sid="t1"), enter(service, provider, sid="t2")
    assert tell(service, sign(provider, sub=None, sid="t1"))[0] == 200
    assert first.me() == 401
    assert isinstance(second.me(), dict)
    assert tell(service, sign(provider, sub="18", sid="t2"))[0] == 200  # of somebody else: nothing ends
    assert isinstance(second.me(), dict)
    assert tell(service, sign(provider, sub="17", sid="t2"))[0] == 200
    assert second.me() == 401


def test_a_logout_of_nobody_who_is_here_is_well(service, provider):  # noqa: F811
    assert tell(service, sign(provider, sub="99"))[0] == 200


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://elsewhere.test"}, "another issuer"),
        ({"aud": "another"}, "somebody else"),
        ({"aud": [CLIENT + "x"]}, "somebody else"),
        ({"exp": 1}, "its time is over"),
        ({"exp": None}, "its time is over"),
        ({"iat": None}, "when it was made"),
        ({"iat": int(time.time()) + 3600}, "its time has not come"),
        ({"jti": None}, "no identifier"),
        ({"jti": 7}, "no identifier"),
        ({"events": None}, "something else"),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, "something else"),
        ({"events": {EVENT: "yes"}}, "something else"),
        ({"events": [EVENT]}, "something else"),
        ({"nonce": "n"}, "nonce"),
        ({"sub": None}, "names nobody"),
        ({"sub": ""}, "names nobody"),
        ({"sid": 7}, "names nobody"),
    ],
)
def test_a_token_that_does_not_count_ends_nothing(service, provider, changes, why):  # noqa: F811
    logged_in = enter(service, provider)
    status, said, body = tell(service, sign(provider, **changes))
    assert (status, said["Cache-Control"]) == (400, "no-store")
    assert json.loads(body)["error"] == "invalid_request"
    assert why in json.loads(body)["error_description"]
    assert isinstance(logged_in.me(), dict)


def test_a_token_counts_once(service, provider):  # noqa: F811
    token = sign(provider)
    assert tell(service, token)[0] == 200
    again = enter(service, provider)
    assert tell(service, token)[0] == 400
    assert isinstance(again.me(), dict)


def test_a_key_of_somebody_else_an_id_token_and_nothing_at_all_end_nothing(service, provider):  # noqa: F811
    logged_in = enter(service, provider)
    provider.key = SECOND
    assert tell(service, sign(provider))[0] == 400
    provider.do_right()
    assert tell(service, provider.sign(nonce="n"))[0] == 400
    assert tell(service, "")[0] == 400
    assert service.ask("POST", LOGOUT, b"")[0] == 400
    assert service.ask("GET", LOGOUT)[0] == 405
    assert isinstance(logged_in.me(), dict)
