"""Logging in at an identity provider: a real one on loopback, which does right, and wrong in every way it may."""

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import ValidationError

import node.web.access.oidc.flow
import node.web.access.oidc.provider
from node.config import load_settings
from node.model.role import Role
from node.sections import Web
from node.web.access import hashes
from node.web.access.users import UserFile
from tests.node.web.identity_provider import CLIENT, FIRST, SECOND, SECRET, open_provider
from tests.node.web.service import Service

ROOT = "https://wetread.hospital.test"
API = "wetread-api"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hashes, "COST", 1 << 10)
    monkeypatch.setattr(node.web.access.oidc.provider, "PAUSE", 0.0)


class Browser:
    """Follows one login by hand, cookies kept."""

    def __init__(self, service, provider):
        self.service, self.provider = service, provider
        self.cookies = {}

    def ask(self, path, method="GET", body=None, **headers):
        shown = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = headers | ({"Cookie": shown} if shown else {})
        status, said, text = self.service.ask(method, path, body, head)
        for line in said.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            self.cookies[name] = value
            if value in {"", '""'} or "Max-Age=0" in line:
                del self.cookies[name]
        return status, said, text.decode()

    def begin(self, following="/"):
        """The path to which the provider sends back."""
        status, said, text = self.ask(f"/login/oidc?next={following}")
        assert status == 303, text
        door = urlsplit(said["Location"])
        assert said["Location"].startswith(self.provider.issuer + "/authorize?")
        back = self.provider.authorize(door.query)
        assert back.startswith(ROOT + "/login/oidc/back?")
        return back.removeprefix(ROOT)

    def log_in(self, following="/"):
        return self.ask(self.begin(following))

    def me(self):
        status, _, text = self.ask("/api/v1/me")
        return json.loads(text) if status == 200 else status


@pytest.fixture(scope="module")
def any_provider():
    with open_provider() as provider:
        yield provider


@pytest.fixture
def provider(any_provider):
    any_provider.do_right()
    return any_provider


@pytest.fixture(scope="module")
def service(tmp_path_factory, any_provider):
    with open_service(tmp_path_factory.mktemp("home"), any_provider) as service:
        yield service


@pytest.fixture
def fresh(tmp_path, provider):
    """A service that has not met the provider."""
    with open_service(tmp_path, provider) as service:
        yield service


def open_service(tmp_path, provider):
    (tmp_path / "oidc-secret").write_text(SECRET + "\n")
    roles = {"radiology": "viewer", "pacs-team": "operator", "chiefs": "admin"}
    oidc = {"issuer": provider.issuer, "client_id": CLIENT, "secret_file": tmp_path / "oidc-secret", "roles": roles}
    web = {"public_url": ROOT, "oidc": oidc | {"audience": API, "label": "Log in by St. Elsewhere"}}
    return Service(tmp_path, web=web)


@pytest.fixture
def browser(service, provider):
    return Browser(service, provider)


# As it should be


def test_who_logs_in_at_the_provider_has_the_role_of_its_group(browser, service):
    status, said, text = browser.log_in("/studies")
    assert status == 200
    assert 'content="0;url=/studies"' in text
    cookie = next(line for line in said.get_all("Set-Cookie") if line.startswith("wetread_session="))
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict"))
    assert (browser.me()["name"], browser.me()["role"]) == ("oidc:ann", "viewer")
    assert browser.ask("/studies")[0] == 200
    assert {"user": "oidc:ann", "action": "login", "outcome": "opened", "role": "viewer"}.items() <= (
        service.audit()[-1].items()
    )


def test_of_several_groups_the_highest_role_counts_and_a_session_has_a_secret_for_its_forms(browser, provider):
    provider.person["groups"] = ["radiology", "pacs-team", "golf"]
    browser.log_in()
    me = browser.me()
    assert me["role"] == "operator"
    head = {"Content-Type": "application/json"}
    assert browser.ask("/api/v1/jobs/none/retry", "POST", "{}", **head)[0] == 403
    assert browser.ask("/api/v1/jobs/none/retry", "POST", "{}", **head | {"X-CSRF-Token": me["csrf"]})[0] == 404


def test_the_login_page_leads_to_the_provider_and_local_users_stay(fresh, provider, tmp_path):
    browser = Browser(fresh, provider)
    page = browser.ask("/login?next=/queue")[2]
    assert 'href="/login/oidc?next=%2Fqueue">Log in by St. Elsewhere<' in page
    UserFile(tmp_path / "users.toml").add("bob", Role.OPERATOR, "correct horse battery")
    form = "name=bob&password=correct+horse+battery&next=/"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.ask("/login", "POST", form, **kind)[0] == 303
    assert browser.me()["name"] == "bob"


def test_with_a_provider_nobody_comes_in_with_nothing_though_there_are_no_users(browser):
    assert browser.me() == 401
    assert browser.ask("/", Accept="text/html")[1]["Location"] == "/login?next=/"


def test_logging_out_ends_the_session_here_and_leads_to_the_provider_s_end(browser, provider):
    browser.log_in()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, text = browser.ask("/logout", "POST", f"csrf={browser.me()['csrf']}", **kind)
    assert status == 200
    assert f"{provider.issuer}/bye?client_id={CLIENT}&amp;post_logout_redirect_uri=https%3A%2F%2Fwetread" in text
    assert browser.me() == 401


def test_the_session_that_was_ended_cannot_be_used_again(browser):
    browser.log_in()
    kept = dict(browser.cookies)
    browser.ask(
        "/logout", "POST", f"csrf={browser.me()['csrf']}", **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    browser.cookies = kept
    assert browser.me() == 401


def test_a_provider_that_changes_its_key_is_believed_at_once(fresh, provider):
    browser = Browser(fresh, provider)
    browser.log_in()
    provider.key, provider.listed = SECOND, [FIRST, SECOND]
    browser.cookies.clear()
    assert browser.log_in()[0] == 200
    assert provider.asked.count("/keys") == 2
    provider.key, provider.listed = FIRST, [SECOND]
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_groups_may_lie_deeper_and_a_name_that_is_none_is_the_subject(tmp_path, provider):
    oidc = {"issuer": provider.issuer, "client_id": CLIENT, "secret_file": tmp_path / "s", "roles": {"r": "viewer"}}
    (tmp_path / "s").write_text(SECRET)
    provider.person = {"sub": "17", "preferred_username": "a\nb", "realm_access": {"roles": ["r"]}}
    with Service(tmp_path, web={"public_url": ROOT, "oidc": oidc | {"claim": "realm_access.roles"}}) as service:
        browser = Browser(service, provider)
        assert browser.log_in()[0] == 200
        assert browser.me()["name"] == "oidc:17"
        head = {"Authorization": "Bearer " + provider.sign(aud="")}
        assert service.ask("GET", "/api/v1/me", headers=head)[0] == 401


# As it should not be


WRONG = {
    "another's key": lambda provider: setattr(provider, "key", SECOND),
    "another audience": lambda provider: setattr(provider, "claims", lambda c: c | {"aud": "another"}),
    "no audience": lambda provider: setattr(provider, "claims", lambda c: c | {"aud": None}),
    "made for another party": lambda provider: setattr(
        provider, "claims", lambda c: c | {"aud": [CLIENT, "x"], "azp": "x"}
    ),
    "expired": lambda provider: setattr(provider, "claims", lambda c: c | {"exp": int(time.time()) - 60}),
    "without end": lambda provider: setattr(provider, "claims", lambda c: c | {"exp": None}),
    "of tomorrow": lambda provider: setattr(provider, "claims", lambda c: c | {"iat": int(time.time()) + 3600}),
    "another issuer": lambda provider: setattr(provider, "claims", lambda c: c | {"iss": "https://evil.test"}),
    "another nonce": lambda provider: setattr(provider, "claims", lambda c: c | {"nonce": "replayed"}),
    "no nonce": lambda provider: setattr(provider, "claims", lambda c: c | {"nonce": None}),
    "nobody": lambda provider: setattr(provider, "claims", lambda c: c | {"sub": None}),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_token_that_is_wrong_opens_nothing(browser, provider, service, how):
    WRONG[how](provider)
    status, _, text = browser.log_in()
    assert status == 401
    assert "does not count" in text
    assert browser.me() == 401
    assert "wetread_session" not in browser.cookies
    assert service.audit()[-1]["outcome"] == 401


@pytest.mark.parametrize("groups", [[], ["golf"], None, "golf", {"radiology": 1}, [["radiology"]]], ids=str)
def test_who_is_in_no_group_that_counts_does_not_come_in(browser, provider, groups):
    provider.person["groups"] = groups
    status, _, text = browser.log_in()
    assert status == 403
    assert "none of your groups" in text
    assert browser.me() == 401


def test_an_answer_counts_once(browser):
    back = browser.begin()
    again = Browser(browser.service, browser.provider)
    again.cookies = dict(browser.cookies)
    assert browser.ask(back)[0] == 200
    status, _, text = again.ask(back)
    assert status == 401
    assert "not begun here" in text


def test_an_answer_with_a_state_of_nobody_is_refused(browser):
    back = browser.begin()
    assert browser.ask(back.replace("state=", "state=x"))[0] == 401
    assert browser.ask("/login/oidc/back")[0] == 401
    assert browser.ask(back)[0] == 401  # the cookie went with the first refusal


def test_an_answer_that_another_browser_began_is_refused(browser, service, provider):
    """Else somebody could have others work under his name (login CSRF)."""
    back = Browser(service, provider).begin()
    browser.begin()
    assert browser.ask(back)[0] == 401


def test_an_answer_that_comes_too_late_is_refused(browser, monkeypatch):
    monkeypatch.setattr(node.web.access.oidc.flow, "PATIENCE", -1.0)
    assert browser.log_in()[0] == 401


def test_an_answer_of_another_provider_is_refused(browser):
    back = browser.begin()
    assert browser.ask(back.split("&iss=")[0] + "&iss=https%3A%2F%2Fevil.test")[0] == 401


def test_a_provider_that_says_no_opens_nothing(browser):
    state = parse_qs(urlsplit(browser.begin()).query)["state"][0]
    assert browser.ask(f"/login/oidc/back?error=access_denied&state={state}")[0] == 401


def test_a_code_without_our_verifier_is_worth_nothing(browser, provider):
    back = browser.begin()
    for asked in provider.codes.values():
        asked["code_challenge"] = "another"
    assert browser.ask(back)[0] == 401


def test_a_login_leads_to_no_other_site(browser):
    assert 'url=/"' in browser.log_in("//evil.test/")[2]


def test_a_provider_that_is_away_or_calls_itself_otherwise_is_named_in_the_log(fresh, provider, caplog):
    browser = Browser(fresh, provider)
    provider.document = lambda document: document | {"issuer": "https://evil.test"}
    status, _, text = browser.ask("/login/oidc")
    assert status == 502
    assert "identity provider cannot be used now" in text
    assert "calls itself by another name" in caplog.text
    provider.document = lambda document: document | {"token_endpoint": "http://elsewhere.test/token"}
    assert browser.ask("/login/oidc")[0] == 502
    assert "token_endpoint is not https" in caplog.text


# Access tokens of programs


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_program_shows_an_access_token_that_was_made_for_our_api(service, provider):
    provider.person["groups"] = ["pacs-team"]
    status, _, body = service.ask("GET", "/api/v1/me", headers=bearer(provider.sign(aud=[API, "others"])))
    assert (status, json.loads(body)["role"]) == (200, "operator")
    assert service.ask("POST", "/api/v1/jobs/none/retry", "{}", bearer(provider.sign(aud=API)))[0] == 404


def test_a_token_for_anything_else_opens_nothing(service, provider, monkeypatch):
    now = int(time.time())
    secret = OctKey.import_key(json.dumps(FIRST.as_dict(private=False)))
    claims = {"iss": provider.issuer, "aud": API, "exp": now + 60, **provider.person}
    confused = jwt.encode({"alg": "HS256", "kid": "first"}, claims, secret, algorithms=["HS256"])
    good = provider.sign(aud=API)
    unsigned = "eyJhbGciOiJub25lIn0." + good.split(".")[1] + "."
    bent = ".".join([good.split(".")[0], provider.sign(aud=API, groups=["chiefs"]).split(".")[1], good.split(".")[2]])
    wrong = [
        provider.sign(),
        provider.sign(aud=API, exp=now - 60),
        confused,
        unsigned,
        bent,
        "a.b.c",
        "a.b." + "c" * 40_000,
    ]
    monkeypatch.setattr("node.web.access.tries.FREE", {"pair": 99, "address": 99, "name": 99})
    for token in wrong:
        assert service.ask("GET", "/api/v1/jobs", headers=bearer(token))[0] == 401, token[:60]
    assert service.ask("GET", "/api/v1/jobs", headers=bearer(good))[0] == 200
    assert service.ask("GET", "/api/v1/jobs", headers=bearer(provider.sign(aud=API, groups=["golf"])))[0] == 403


def test_tokens_that_are_none_are_slowed_and_a_right_one_counts_all_the_same(fresh, provider):
    answers = [fresh.ask("GET", "/api/v1/jobs", headers=bearer("a.b.c"))[0] for _ in range(40)]
    assert set(answers) == {401, 429}
    assert fresh.ask("GET", "/api/v1/jobs", headers=bearer(provider.sign(aud=API)))[0] == 200


# The configuration


RIGHT = {"issuer": "https://idp.test/realm", "client_id": "wetread", "roles": {"a": "viewer"}}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://idp.test"},
        {"issuer": "https://me@idp.test"},
        {"roles": {}},
        {"roles": {"a": "king"}},
        {"scopes": ["profile"]},
        {"audience": "wetread"},
        {"secret": "word"},
    ],
    ids=str,
)
def test_a_section_that_would_trust_too_much_is_refused(change):
    assert Web.model_validate({"public_url": ROOT, "oidc": RIGHT}).oidc
    with pytest.raises(ValidationError):
        Web.model_validate({"public_url": ROOT, "oidc": RIGHT | change})


def test_the_provider_must_be_told_where_we_are():
    with pytest.raises(ValidationError, match="oidc needs public_url"):
        Web.model_validate({"oidc": RIGHT})


def test_a_secret_s_place_counts_from_the_configuration(tmp_path):
    place = tmp_path / "wetread.toml"
    place.write_text(
        f'[web]\npublic_url = "{ROOT}"\n[web.oidc]\nissuer = "https://idp.test"\nclient_id = "w"\n'
        'secret_file = "s/oidc"\nroles = { a = "viewer" }\n'
    )
    assert load_settings(place, {}).web.oidc.secret_file == tmp_path / "s/oidc"
