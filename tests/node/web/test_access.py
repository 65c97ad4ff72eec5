"""Who is let in, as what, by which credential; what a foreign page and a guesser cannot do; what is written down."""

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from starlette.datastructures import URL
from starlette.requests import HTTPConnection
from typer.testing import CliRunner

import node.web.access.repeated
import node.web.access.sessions
import node.web.access.tries
from node.cli import app
from node.config import Settings, load_settings
from node.errors import ConfigError
from node.model.role import Role
from node.web.access import hashes
from node.web.access.anonymous import find_anonymous
from node.web.access.guard import find_needed
from node.web.access.repeated import Repeated
from node.web.access.sessions import Sessions
from node.web.access.tries import FREE, Tries
from node.web.access.users import UserFile
from tests.node.web.service import BOUNDARY, Service
from tests.node.web.test_stow import encode, make_study

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"


@pytest.fixture(autouse=True, scope="module")
def cheap():
    """scrypt at its full price would be most of the time of these tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr(hashes, "COST", 1 << 10)
    yield
    patch.undo()


def add_users(home):
    users = UserFile(home / "users.toml")
    for role in Role:
        users.add(role.value, role, PASSWORD)
    return users


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    home = tmp_path_factory.mktemp("guarded")
    add_users(home)
    peers = {"ct": {"ae_title": "CT1", "web_user": "operator", "send": True}}
    with Service(home, peers=peers, listen={"min_free_mb": 1}) as service:
        yield service


def basic(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def log_in(service, name, password=PASSWORD, following="/"):
    body = urlencode({"name": name, "password": password, "next": following})
    return service.ask("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded"})


def cookie_of(headers):
    return {"Cookie": headers["Set-Cookie"].split(";")[0]}


# Who must log in


def test_without_users_this_machine_alone_may_read_and_store():
    assert find_anonymous(Settings()) == Role.OPERATOR


@pytest.mark.parametrize(
    "web",
    [{"listen": "0.0.0.0:8042"}, {"listen": "10.0.0.7:8042"}, {"behind_proxy": ["127.0.0.1"]}, {"listen": "pacs:1"}],
    ids=str,
)
def test_a_service_that_others_reach_does_not_start_without_users(tmp_path, web):
    settings = Settings.model_validate({"node": {"home": tmp_path}, "web": web})
    with pytest.raises(ConfigError, match="wetread users add"):
        find_anonymous(settings)
    assert find_anonymous(settings.model_copy(update={"web": settings.web.model_copy(update={"anonymous": "viewer"})}))
    UserFile(tmp_path / "users.toml").add("ann", Role.VIEWER, PASSWORD)
    assert find_anonymous(settings) is None


def test_with_users_nobody_reads_without_a_name_and_health_stays_open(guarded):
    for path in ("/", "/metrics", "/api/v1/jobs", "/dicom-web/studies", "/nowhere"):
        status, headers, _ = guarded.ask("GET", path)
        assert status == 401, path
        assert headers["WWW-Authenticate"].startswith("Basic")
    assert guarded.ask("GET", "/healthz")[0] == 200
    assert guarded.ask("GET", "/readyz")[0] in {200, 503}


def test_a_user_who_is_added_ends_what_nobody_in_particular_may_at_once(tmp_path):
    with Service(tmp_path) as service:
        assert service.ask("GET", "/api/v1/me")[0] == 200
        users = UserFile(tmp_path / "users.toml")
        users.add("ann", Role.OPERATOR, PASSWORD)
        assert service.ask("GET", "/api/v1/me")[0] == 401
        assert service.store([encode(make_study(1)[1][0])])[0] == 401
        assert service.ask("GET", "/api/v1/me", headers=basic("ann"))[0] == 200
        users.remove("ann")
        assert json.loads(service.ask("GET", "/api/v1/me")[2])["role"] == Role.OPERATOR


def test_a_host_that_seems_to_name_an_open_page_opens_nothing(guarded, monkeypatch):
    """As a Host header could make `request.url` do before Starlette 1.0.1."""
    monkeypatch.setattr(HTTPConnection, "url", property(lambda _: URL("http://127.0.0.1/healthz?/api/v1/jobs")))
    assert guarded.ask("GET", "/api/v1/jobs")[0] == 401
    assert guarded.ask("GET", "/api/v1/users", headers=basic("viewer"))[0] == 403
    line = guarded.audit()[-1]
    assert (line["user"], line["action"], line["outcome"]) == ("viewer", "GET /api/v1/users", 403)
    status, headers, _ = guarded.ask("GET", "/metrics", headers={"Accept": "text/html"})
    assert (status, headers["Location"]) == (303, "/login?next=/metrics")


def test_a_name_bent_to_this_machine_is_refused_where_nobody_logs_in(tmp_path):
    with Service(tmp_path) as service:
        assert service.ask("GET", "/")[0] == 200
        assert service.ask("GET", "/", headers={"Host": "evil.test"})[0] == 403
        assert service.ask("GET", "/", headers={"Host": f"localhost:{service.port}"})[0] == 200


def test_a_script_that_is_refused_has_the_browser_ask_nothing(guarded):
    status, headers, _ = guarded.ask("GET", "/?fragment=1", headers={"X-Requested-With": "fetch"})
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")


# What a role may


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/dicom-web/studies", Role.VIEWER),
        ("HEAD", "/", Role.VIEWER),
        ("OPTIONS", "/dicom-web", Role.VIEWER),
        ("POST", "/dicom-web/studies", Role.OPERATOR),
        ("DELETE", "/anything", Role.OPERATOR),
        ("BREW", "/anything", Role.OPERATOR),
        ("GET", "/api/v1/users", Role.ADMIN),
    ],
)
def test_what_a_request_takes(method, path, needed):
    assert find_needed(method, path) == needed


def test_a_role_covers_those_before_it():
    assert [[one.covers(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_viewer_reads_and_does_not_store(guarded):
    assert guarded.ask("GET", "/api/v1/jobs", headers=basic("viewer"))[0] == 200
    study, slices = make_study(1)
    assert guarded.store([encode(slices[0])], headers=basic("viewer"))[0] == 403
    assert not guarded.ledger.find_instances(study)
    line = guarded.audit()[-1]
    assert (line["user"], line["action"], line["outcome"]) == ("viewer", "POST /dicom-web/studies", 403)


def test_what_an_operator_stores_counts_as_sent_by_its_peer(guarded):
    study, slices = make_study(1)
    assert guarded.store([encode(slices[0])], headers=basic("operator"))[0] == 200
    assert guarded.ledger.find_associations(study)[0][0] == "CT1"
    study, slices = make_study(1)
    assert guarded.store([encode(slices[0])], headers=basic("admin"))[0] == 200
    assert guarded.ledger.find_associations(study)[0][0] == "web:admin"
    line = guarded.audit()[-1]
    assert (line["user"], line["uid"], line["outcome"]) == ("admin", study, 200)


@pytest.mark.parametrize(
    ("peer", "outcome"),
    [({"send": False}, 403), ({"sop_classes": ["MRImageStorage"]}, 0x0124),
     ({"transfer_syntaxes": ["ImplicitVRLittleEndian"]}, 0xC122)],
    ids=["not at all", "another class", "another syntax"],
)  # fmt: skip
def test_what_a_peer_may_not_send_it_may_not_store(tmp_path, peer, outcome):
    UserFile(tmp_path / "users.toml").add("ct", Role.OPERATOR, PASSWORD)
    peers = {"ct": {"ae_title": "CT1", "web_user": "ct", "send": True} | peer}
    _, slices = make_study(1)
    with Service(tmp_path, peers=peers) as service:
        status, _, answer = service.store([encode(slices[0])], headers=basic("ct"))
        if outcome == 403:
            assert status == 403
        else:
            assert status == 409
            assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [outcome]


def test_a_peer_that_only_stores_needs_no_address_and_a_title_for_its_user():
    assert Settings.model_validate({"peers": {"a": {"ae_title": "A", "web_user": "a"}}}).peers["a"].web_user == "a"
    for peers in (
        {"a": {"web_user": "a"}},
        {"a": {"ae_title": "A", "web_user": "x"}, "b": {"ae_title": "B", "web_user": "x"}},
    ):
        with pytest.raises(ValueError, match="web_user"):
            Settings.model_validate({"peers": peers})


# By which credential


@pytest.mark.parametrize(
    "shown",
    [
        basic("operator", WRONG),
        basic("nobody"),
        basic("operator", ""),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()},
        bearer("wetread_0_0"),
        bearer(""),
        {"Authorization": "Digest x"},
        {"Cookie": "wetread_session=guessed"},
    ],
    ids=str,
)
def test_what_is_wrong_opens_nothing(tmp_path, shown):
    add_users(tmp_path)
    with Service(tmp_path) as service:
        assert service.ask("GET", "/api/v1/jobs", headers=shown)[0] == 401


def test_a_token_works_until_it_is_revoked_or_expires(guarded):
    users = UserFile(guarded.settings.node.home / "users.toml")
    token = users.add_token("viewer")
    assert guarded.ask("GET", "/api/v1/jobs", headers=bearer(token))[0] == 200
    assert guarded.ask("POST", "/dicom-web/studies", headers=bearer(token))[0] == 403
    assert guarded.ask("GET", "/api/v1/jobs", headers=bearer(token[:-1] + "!"))[0] == 401
    users.remove_token("viewer", token.split("_")[1])
    assert guarded.ask("GET", "/api/v1/jobs", headers=bearer(token))[0] == 401
    short = users.add_token("viewer", days=1)
    kept = users.read()["viewer"].tokens[-1]
    assert kept.is_valid(datetime.now(UTC))
    assert not kept.is_valid(datetime.now(UTC) + timedelta(days=2))
    assert short.split("_", 2)[2] not in users.path.read_text()


def test_a_user_who_is_removed_is_out_at_once(tmp_path):
    users = add_users(tmp_path)
    with Service(tmp_path) as service:
        _, headers, _ = log_in(service, "viewer")
        for shown in (basic("viewer"), cookie_of(headers)):
            assert service.ask("GET", "/", headers=shown)[0] == 200
        users.remove("viewer")
        for shown in (basic("viewer"), cookie_of(headers)):
            assert service.ask("GET", "/", headers=shown)[0] == 401


def test_a_new_password_ends_sessions_and_the_old_one(tmp_path):
    users = add_users(tmp_path)
    with Service(tmp_path) as service:
        _, headers, _ = log_in(service, "viewer")
        assert service.ask("GET", "/", headers=basic("viewer"))[0] == 200
        users.add("viewer", Role.VIEWER, WRONG)
        assert service.ask("GET", "/", headers=basic("viewer"))[0] == 401
        assert service.ask("GET", "/", headers=cookie_of(headers))[0] == 401


# Browsers


def test_a_browser_is_led_to_the_login_page_and_back(guarded):
    status, headers, _ = guarded.ask("GET", "/metrics", headers={"Accept": "text/html"})
    assert (status, headers["Location"]) == (303, "/login?next=/metrics")
    status, headers, page = guarded.ask("GET", headers["Location"])
    assert status == 200
    assert b'value="/metrics"' in page
    status, headers, _ = log_in(guarded, "viewer", following="/metrics")
    assert (status, headers["Location"]) == (303, "/metrics")
    said = headers["Set-Cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "max-age=" in said
    assert guarded.ask("GET", "/metrics", headers=cookie_of(headers))[0] == 200


@pytest.mark.parametrize(
    "place", ["https://evil.test", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\r\nX: 1"]
)
def test_a_login_leads_to_no_other_site(guarded, place):
    _, headers, _ = log_in(guarded, "viewer", following=place)
    assert headers["Location"] == "/"


def test_a_name_in_the_page_is_text(guarded):
    _, _, page = guarded.ask("GET", '/login?next=/"><script>alert(1)</script>')
    assert b"<script>" not in page


def test_a_cookie_alone_changes_nothing(guarded):
    _, headers, _ = log_in(guarded, "operator")
    shown = cookie_of(headers)
    study, slices = make_study(1)
    assert guarded.store([encode(slices[0])], headers=shown)[0] == 403
    assert guarded.store([encode(slices[0])], headers=shown | {"X-CSRF-Token": "guessed"})[0] == 403
    assert not guarded.ledger.find_instances(study)
    status, _, me = guarded.ask("GET", "/api/v1/me", headers=shown)
    assert status == 200
    secret = json.loads(me)["csrf"]
    assert guarded.store([encode(slices[0])], headers=shown | {"X-CSRF-Token": secret})[0] == 200


def test_logging_out_takes_a_form_of_the_session_and_ends_it(guarded):
    _, headers, _ = log_in(guarded, "viewer")
    shown = cookie_of(headers)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    secret = json.loads(guarded.ask("GET", "/api/v1/me", headers=shown)[2])["csrf"]
    assert guarded.ask("POST", "/logout", "csrf=wrong", shown | form)[0] == 403
    assert guarded.ask("POST", "/logout", urlencode({"csrf": secret}), shown | form)[0] == 303
    assert guarded.ask("GET", "/", headers=shown)[0] == 401


@pytest.mark.parametrize(
    "head", [{"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_a_page_of_another_site_stores_nothing(tmp_path, head):
    with Service(tmp_path) as service:
        assert service.store([encode(make_study(1)[1][0])], headers=head)[0] == 403
        here = {"Origin": f"http://127.0.0.1:{service.port}"}
        assert service.store([encode(make_study(1)[1][0])], headers=here)[0] == 200


def test_every_answer_forbids_what_a_page_should_not_do(guarded):
    for path, headers in (("/", basic("viewer")), ("/login", {}), ("/healthz", {}), ("/", {})):
        _, said, _ = guarded.ask("GET", path, headers=headers)
        assert "default-src 'self'" in said["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in said["Content-Security-Policy"]
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["Referrer-Policy"] == "same-origin"


# Guessing


def test_who_guesses_is_slowed_and_others_are_not(tmp_path):
    add_users(tmp_path)
    with Service(tmp_path) as service:
        answers = [service.ask("GET", "/", headers=basic("viewer", WRONG)) for _ in range(FREE["pair"] + 1)]
        assert [status for status, *_ in answers] == [401] * FREE["pair"] + [429]
        assert int(answers[-1][1]["Retry-After"]) >= 1
        assert service.ask("GET", "/", headers=basic("viewer"))[0] == 429
        assert service.ask("GET", "/", headers=basic("operator"))[0] == 200
        assert log_in(service, "viewer", WRONG)[0] == 429


def test_wrong_tokens_slow_who_shows_them_and_nobody_with_a_right_one(tmp_path, monkeypatch):
    monkeypatch.setattr(node.web.access.tries, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    token = add_users(tmp_path).add_token("viewer")
    with Service(tmp_path) as service:
        wrong = [service.ask("GET", "/", headers=bearer("wetread_0_0"))[0] for _ in range(FREE["address"] + 1)]
        assert wrong == [401] * FREE["address"] + [429]
        assert service.ask("GET", "/", headers=bearer(token))[0] == 200
        assert service.ask("GET", "/", headers=bearer(token[:-1] + "!"))[0] == 429


def test_wrong_tokens_are_counted_by_address_alone():
    tries = Tries()
    for n in range(max(FREE.values())):
        tries.fail("", f"10.0.0.{n % 8}")
    assert tries.find_wait("", "10.0.1.1") == 0
    assert tries.find_wait("", "10.0.0.1") == 0
    for _ in range(FREE["address"]):
        tries.fail("", "10.0.0.1")
    assert tries.find_wait("", "10.0.0.1") > 0
    assert tries.find_wait("", "10.0.0.2") == 0


def test_each_further_failure_doubles_the_wait():
    tries = Tries()
    for _ in range(FREE["pair"] + 3):
        tries.fail("ann", "10.0.0.1")
    assert 7 <= tries.find_wait("ann", "10.0.0.1") <= 9
    assert tries.find_wait("ann", "10.0.0.2") == 0
    tries.succeed("ann", "10.0.0.1")
    assert tries.find_wait("ann", "10.0.0.1") == 0


def test_a_session_ends(monkeypatch):
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(node.web.access.sessions, "time", clock)
    sessions = Sessions(60.0)
    cookie = sessions.open("ann", "kept")
    assert sessions.find(cookie).user == "ann"
    assert sessions.find(cookie + "x") is None
    clock.now += 59.0
    assert sessions.find(cookie).user == "ann"
    clock.now += 2.0
    assert sessions.find(cookie) is None


# What is written down


def test_the_audit_names_who_did_what_and_no_secret(guarded):
    log_in(guarded, "viewer")
    log_in(guarded, "viewer", WRONG)
    opened, refused = guarded.audit()[-2:]
    assert (opened["user"], opened["action"], opened["outcome"]) == ("viewer", "login", "opened")
    assert (refused["user"], refused["action"], refused["outcome"]) == ("viewer", "login", 401)
    guarded.ask("GET", "/dicom-web/series?PatientName=DOE", headers={"Accept": "application/json"})
    assert (guarded.audit()[-1]["action"], guarded.audit()[-1]["outcome"]) == ("GET /dicom-web/series", 401)
    text = (guarded.settings.node.home / "audit.jsonl").read_text()
    assert PASSWORD not in text
    assert WRONG not in text
    assert "DOE" not in text


def test_equal_refused_reads_are_written_down_once_a_minute_and_refused_changes_each(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(node.web.access.repeated, "time", clock)
    add_users(tmp_path)
    with Service(tmp_path) as service:
        for _ in range(3):
            assert service.ask("GET", "/queue?fragment=1")[0] == 401
            assert service.ask("GET", "/workers")[0] == 401
        assert [line["action"] for line in service.audit()] == ["GET /queue", "GET /workers"]
        clock.now += 59.0
        service.ask("GET", "/queue")
        assert len(service.audit()) == 2
        clock.now += 2.0
        service.ask("GET", "/queue")
        service.ask("GET", "/api/v1/users", headers=basic("viewer"))
        assert [line["outcome"] for line in service.audit()] == [401, 401, 401, 403]
        for _ in range(2):
            assert service.store([encode(make_study(1)[1][0])])[0] == 401
        assert [line["action"] for line in service.audit()[4:]] == ["POST /dicom-web/studies"] * 2


def test_what_was_noted_longest_ago_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(node.web.access.repeated, "REMEMBERED", 2)
    repeated = Repeated()
    assert [said for said in ("a", "b", "b", "c", "c", "a") if repeated.is_first(said)] == ["a", "b", "c", "a"]


def test_secrets_are_kept_as_hashes_that_others_cannot_read(tmp_path):
    users = UserFile(tmp_path / "users.toml")
    users.add("ann", Role.ADMIN, PASSWORD)
    assert PASSWORD not in users.path.read_text()
    assert users.path.stat().st_mode & 0o077 == 0
    assert hashes.check_password(PASSWORD, users.read()["ann"].password)
    assert not hashes.check_password(WRONG, users.read()["ann"].password)


@pytest.mark.parametrize("name", ["", "../x", 'a"b', "a b", "x" * 33, "-a"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="user name"):
        UserFile(tmp_path / "users.toml").add(name, Role.VIEWER, PASSWORD)


def test_a_short_password_and_a_damaged_file_are_refused(tmp_path):
    users = UserFile(tmp_path / "users.toml")
    with pytest.raises(ConfigError, match="characters"):
        users.add("ann", Role.VIEWER, "short")
    for text in ("[users.ann]\nrole = 'king'", "nonsense", "[users]\nann = 1"):
        users.path.write_text(text)
        with pytest.raises(ConfigError, match="users"):
            users.read()


def test_wetread_users_adds_lists_and_removes(tmp_path, monkeypatch):
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{tmp_path}"\n')
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words, said=None):
        return CliRunner().invoke(app, ["users", *words, "--config", str(config)], input=said)

    assert run("add", "ann", "--role", "operator", said=PASSWORD + "\n").exit_code == 0
    assert run("add", "robot", "--role", "viewer", "--no-password").exit_code == 0
    token = run("token", "robot", "--days", "7").output.strip()
    assert token.startswith("wetread_")
    listed = run("list").output
    assert "ann" in listed and "operator" in listed and token.split("_")[1] in listed
    assert token.split("_", 2)[2] not in listed
    assert run("token", "robot", "--revoke", token.split("_")[1]).exit_code == 0
    assert run("remove", "ann").exit_code == 0
    assert "ann" not in run("list").output
    assert isinstance(run("remove", "ann").exception, ConfigError)
    actions = [json.loads(line)["action"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert "users add ann operator" in actions
    assert load_settings(config).node.home == tmp_path


def test_an_upload_with_a_wrong_password_is_not_read(guarded):
    head = {"Content-Type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'}
    promised = {"Content-Length": str(1 << 20)}  # nothing of it is sent: the answer does not wait for it
    status, headers, _ = guarded.ask("POST", "/dicom-web/studies", None, head | promised | basic("nobody", WRONG))
    assert status == 401
    assert headers["Connection"] == "close"
    assert not guarded.incoming()
