"""The status pages: what they show of the ledger, what their buttons do, and who may press them."""

import base64
import re
import time
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from urllib.parse import urlencode

import pytest
from sqlalchemy import event, insert
from starlette.testclient import TestClient

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.ledger import tables as t
from node.model.delivery import ResultObject
from node.model.job import Event, Priority, State
from node.model.role import Role
from node.model.study import Quarantined, StudyState
from node.web.access import hashes
from node.web.access.users import UserFile
from node.web.app import make_web
from node.web.pages.path import find_path
from node.web.pages.words import say_span
from tests.jobs import JOB, add_job, add_study
from tests.node.web.service import BOUNDARY, make_body
from tests.node.web.test_stow import encode, make_study

PASSWORD = "correct horse battery"
FAILED = "f" * 32
PEERS = {"pacs": {"ae_title": "MAINPACS", "address": "127.0.0.1:1"}}
ROUTES = [{"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "deliver": ["pacs"]}]


class Site:
    """The web role in this process, with a home of its own."""

    def __init__(self, home, **sections):
        node = {"home": home, "listen": "127.0.0.1:1"}
        self.settings = Settings.model_validate({"node": node, "peers": PEERS, "routes": ROUTES, **sections})
        self.ledger = SqlLedger(self.settings.ledger_url)
        spool = Spool(self.settings.spool, 0)
        self.client = TestClient(
            make_web(self.settings, self.ledger, spool), base_url="http://localhost", follow_redirects=False
        )

    def get(self, path, **more):
        return self.client.get(path, **more)

    def post(self, path, **form):
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.post(path, content=urlencode(form), headers=head)

    def show(self, path):
        """What a page says, without its marks."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.text)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())

    def audit(self):
        path = self.settings.node.home / "audit.jsonl"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.ledger.close()


def add_failed(ledger, **changes):
    job = add_job(ledger, **{"id": FAILED, "study_uid": "1.2.7"} | changes)
    return ledger.move_job(job, State.FAILED, time.time(), "load", "TooFewSlices: 2 planes")


def add_results(site, job):
    claimed = site.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
    made = ResultObject("1.2.9.1", "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "a/seg.dcm")
    path = site.settings.outbox / made.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return site.ledger.move_job(claimed, State.ENCODED, time.time(), "encode", objects=[made])


# What is shown


def test_a_job_is_listed_with_its_state_its_study_and_its_reason(site):
    add_failed(site.ledger)
    said = site.show("/")
    for word in ("FAILED", FAILED[:12], "1.2.7", "chest CT", "lung-seg", "TooFewSlices: 2 planes"):
        assert word in said


def test_what_still_arrives_stands_above_the_jobs(site):
    add_study(site.ledger, "1.2.55", how="")
    assert "Arriving 1.2.55 last image" in site.show("/")


def test_every_page_is_there_and_asks_nothing_of_other_hosts(site):
    add_failed(site.ledger)
    for path in ("/", f"/jobs/{FAILED}", "/studies", "/studies/1.2.7", "/queue", "/workers", "/peers", "/routes",
                 "/webhooks", "/pipelines", "/quarantine"):  # fmt: skip
        answer = site.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';"), path
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.text), path
        assert not re.search(r"<script(?![^>]*src=)", answer.text), path
        assert not re.search(r"\son[a-z]+=", answer.text), path


def test_what_is_not_there_is_said_with_404(site):
    for path in ("/jobs/none", "/studies/9.9", "/jobs/none/retry"):
        ask = site.post if path.endswith("retry") else site.get
        assert ask(path).status_code == 404, path
    assert site.get("/?state=NONE").status_code == 400
    assert site.get("/?before=x").status_code == 400


def test_what_comes_from_a_peer_is_text_and_never_a_mark(site):
    nasty = "<script>alert(1)</script>"
    add_failed(site.ledger)
    site.ledger.add_quarantined(Quarantined(1.0, "q/1", nasty, nasty[:16], nasty[:60]))
    job = add_job(site.ledger, id="a" * 32, study_uid="1.2.8", route=nasty, pipeline=nasty, notes=(nasty,))
    site.ledger.move_job(job, State.FAILED, 2.0, nasty[:30], nasty)
    for path in ("/", f"/jobs/{job.id}", "/studies/1.2.8", "/quarantine", "/?text=" + nasty, "/?peer=" + nasty):
        text = site.get(path).text
        assert "<script>alert" not in text, path
        assert "&lt;script&gt;" in text, path


def test_the_live_part_is_given_alone(site):
    add_failed(site.ledger)
    for path in ("/", f"/jobs/{FAILED}", "/studies", "/studies/1.2.7", "/queue", "/workers", "/peers", "/quarantine"):
        whole = site.get(path).text
        part = site.get(path, params={"fragment": "1"}).text
        assert "<html" not in part, path
        assert part.strip(), path
        assert re.sub(r"\d+ \w+ ago|just now", "", part.strip()) in re.sub(r"\d+ \w+ ago|just now", "", whole), path


def test_a_study_shows_its_series_its_evidence_and_its_timeline(site):
    add_failed(site.ledger)
    said = site.show("/studies/1.2.7")
    for word in ("1.2.7.1", "CT Image Storage", "Evidence complete", "SCU began to send", "ended: released",
                 "lung-seg: FAILED load: TooFewSlices", "closed, version 1"):  # fmt: skip
        assert word in said


def test_the_path_shows_where_a_job_is_and_how_long_each_way_took():
    def event(at, state):
        return Event(at, state, "s", "", {})

    history = [event(10.0, State.QUEUED), event(11.0, State.QUEUED), event(15.0, State.CLAIMED)]
    job = replace(JOB, state=State.CLAIMED)
    told = [(stop.state, stop.at, stop.seconds, stop.here) for stop in find_path(job, history)]
    assert told[:3] == [
        (State.QUEUED, 10.0, None, False),
        (State.CLAIMED, 15.0, 5.0, True),
        (State.ENCODED, None, None, False),
    ]
    history += [event(20.0, State.FAILED)]
    stops = find_path(replace(JOB, state=State.FAILED), history)
    assert [(stop.state, stop.seconds) for stop in stops] == [
        (State.QUEUED, None),
        (State.CLAIMED, 5.0),
        (State.FAILED, 5.0),
    ]
    history += [event(30.0, State.QUEUED)]
    again = find_path(JOB, history)
    assert [stop.at for stop in again] == [30.0, None, None, None, None]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, ""), (0.254, "0.25 s"), (42.4, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (356400, "4 d 3 h")],
)
def test_spans_are_told_by_their_two_largest_units(seconds, told):
    assert say_span(seconds) == told


def test_a_model_card_is_shown_as_text(site):
    text = site.get("/pipelines").text
    assert '<pre class="text">' in text
    assert 'id="lung-seg"' in text


# Paging and filters


def fill(ledger, number, **changes):
    job = replace(JOB, **changes)
    row = {c.name: getattr(job, c.name) for c in t.job.columns if c.name != "rung_at"} | {"rung_at": 0.0}
    rows = [row | {"id": f"{n:032x}", "study_uid": f"1.3.{n}", "created_at": 5000.0 + n} for n in range(number)]
    with ledger._engine.begin() as db:
        db.execute(insert(t.job), rows)


def find_ids(page):
    return [int(one, 16) for one in re.findall(r'href="/jobs/([0-9a-f]{32})"', page)]


def test_pages_hold_each_job_once_there_and_back(site):
    fill(site.ledger, 120)
    page, seen, way = "/", [], []
    while page:
        text = unescape(site.get(page).text)
        seen += find_ids(text)
        way.append(page)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        page = "/" + older[1] if older else ""
    assert seen == list(range(119, -1, -1))
    assert len(way) == 3
    back = "/" + re.search(r'rel="prev" href="([^"]+)"', text)[1]
    newer = unescape(site.get(back).text)
    assert find_ids(newer) == list(range(69, 19, -1))
    assert 'rel="next"' in newer
    first = unescape(site.get("/" + re.search(r'rel="prev" href="([^"]+)"', newer)[1]).text)
    assert find_ids(first) == list(range(119, 69, -1))
    assert 'rel="prev"' not in first


def test_a_job_that_comes_meanwhile_shifts_no_page(site):
    fill(site.ledger, 60)
    older = "/" + re.search(r'rel="next" href="([^"]+)"', unescape(site.get("/").text))[1]
    add_job(site.ledger, id="e" * 32, study_uid="1.9", created_at=9e9)
    assert find_ids(site.get(older).text) == list(range(9, -1, -1))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=FAILED", {"f"}),
        ("state=QUEUED", {"1", "2"}),
        ("pipeline=brain-extract", {"1"}),
        ("route=head", {"2"}),
        ("peer=archive", {"2"}),
        ("peer=arch", set()),
        ("peer=%25", set()),
        ("text=1.2.7", {"f"}),
        ("text=2222", {"2"}),
        ("text=_", set()),
        ("state=QUEUED&text=1.2.4", {"1"}),
    ],
)
def test_filters_ask_the_ledger(site, query, found):
    add_failed(site.ledger)
    add_job(site.ledger, id="1" * 32, study_uid="1.2.40", pipeline="brain-extract")
    add_job(site.ledger, id="2" * 32, study_uid="1.2.50", route="head", deliver=("pacs", "archive"))
    text = site.get(f"/?{query}").text
    assert {one[0] for one in re.findall(r'href="/jobs/([0-9a-f]{32})"', text)} == found


@contextmanager
def counting_steps(ledger):
    """Counts the instructions of SQLite's machine, in hundreds: what a page costs on whatever machine."""
    steps = []

    def hear(connection, *_):
        connection.set_progress_handler(lambda: steps.append(100), 100)  # what it returns, None, goes on

    event.listen(ledger._engine, "checkout", hear)
    yield steps
    event.remove(ledger._engine, "checkout", hear)


def test_a_hundred_thousand_jobs_are_paged_without_reading_them_all(site):
    fill(site.ledger, 100_000, state=State.CONFIRMED)
    add_failed(site.ledger)
    for query in ("", "?state=FAILED", "?peer=nobody", "?text=1.3", "?text=1.3.777", "?pipeline=none",
                  "?before=55000,f"):  # fmt: skip
        with counting_steps(site.ledger) as steps:
            assert site.get(f"/{query}", params={"fragment": "1"} if not query else None).status_code == 200
        # To count the jobs by state in an index takes 7 instructions each; to sort them by time takes over 30.
        assert 0 < sum(steps) < 20 * 100_000, query


def test_an_older_ledger_gets_the_indexes(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    old = SqlLedger(url)
    with old._engine.begin() as db:
        db.exec_driver_sql("DROP INDEX job_by_time")
    old.close()
    ledger = SqlLedger(url)
    with ledger._engine.begin() as db:
        assert db.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'job_by_time'").scalar() == 1
    ledger.close()


# What is done


def test_retry_queues_a_failed_job_and_the_page_says_so(site):
    job = add_failed(site.ledger)
    assert "Retry" in site.show(f"/jobs/{job.id}")
    answer = site.post(f"/jobs/{job.id}/retry")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/jobs/{job.id}?said=retry")
    assert site.ledger.get_job(job.id).state == State.QUEUED
    assert "The job is queued again." in site.show(answer.headers["Location"])
    line = site.audit()[-1]
    assert f'"job": "{job.id}"' in line
    assert '"was": "FAILED routine"' in line


def test_what_cannot_be_done_is_said_and_changes_nothing(site):
    job = add_failed(site.ledger)
    for action, why in (("cancel", "cannot be canceled"), ("resend", "nothing"), ("priority", "priority is one of")):
        answer = site.post(f"/jobs/{job.id}/{action}")
        assert answer.status_code in {400, 409}, action
        assert why in answer.text, action
    assert site.post(f"/jobs/{job.id}/burn").status_code == 404
    assert site.ledger.get_job(job.id).state == State.FAILED


def test_cancel_and_priority_of_a_job_that_waits(site):
    job = add_job(site.ledger)
    assert site.post(f"/jobs/{job.id}/priority", to="stat").status_code == 303
    assert site.ledger.get_job(job.id).priority == Priority.STAT
    assert site.post(f"/jobs/{job.id}/priority", to="now").status_code == 400
    assert site.post(f"/jobs/{job.id}/cancel").status_code == 303
    assert site.ledger.get_job(job.id).state == State.CANCELED
    assert "Retry" not in site.show(f"/jobs/{job.id}")


def test_resend_sends_what_lies_in_the_outbox_again(site):
    job = add_results(site, add_job(site.ledger))
    site.ledger.move_job(job, State.FAILED, time.time(), "deliver", "pacs refused")
    text = site.show(f"/jobs/{job.id}")
    assert "Resend" in text
    assert "SEG" in text
    assert "Pictures" in text
    assert site.post(f"/jobs/{job.id}/resend", peer="pacs").status_code == 303
    assert [d.state for d in site.ledger.find_deliveries(job.id)] == ["PENDING"]
    assert '"peer": "pacs"' in site.audit()[-1]


def test_close_now_is_what_wetread_complete_says(site):
    add_study(site.ledger, "1.2.60", how="")
    assert "Close now" in site.show("/studies/1.2.60")
    assert site.post("/studies/1.2.60/complete").status_code == 303
    (word,) = site.ledger.find_expectations()
    assert (word.study_uid, word.kind) == ("1.2.60", "operator")
    study = site.ledger.find_study("1.2.60")
    site.ledger.close_study(study, time.time(), "an operator", "", [])
    assert site.ledger.find_study("1.2.60").state == StudyState.COMPLETE
    assert site.post("/studies/1.2.60/complete").status_code == 409
    assert "Close now" not in site.show("/studies/1.2.60")


def test_a_peer_that_does_not_answer_is_said_with_its_name(site):
    answer = site.post("/peers/pacs/echo")
    assert answer.status_code == 502
    assert "MAINPACS" in answer.text
    assert site.post("/peers/nobody/echo").status_code == 404


@pytest.mark.parametrize(
    ("acted", "page"),
    [
        ("/peers/pacs/echo", "/peers"),
        (f"/jobs/{FAILED}/priority", f"/jobs/{FAILED}"),
        ("/studies/1.2.7/complete", "/studies/1.2.7"),
    ],
)
def test_a_page_that_answers_an_action_is_kept_fresh_from_its_own_address(site, acted, page):
    add_failed(site.ledger)
    answer = site.post(acted, to="sideways")
    assert answer.status_code >= 400
    (address,) = re.findall(r'data-live="([^"]*)"', answer.text)
    assert address == page
    fresh = site.get(f"{address}?fragment=1")
    assert fresh.status_code == 200
    assert "<html" not in fresh.text


def test_a_trial_says_which_condition_fails_and_stores_nothing(site):
    _, slices = make_study(2)
    head = {"Content-Type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'}
    body = make_body([encode(one) for one in slices])
    before = {path.name for path in site.settings.node.home.iterdir()}
    answer = site.client.post("/routes/try", content=body, headers=head)
    assert answer.status_code == 200, answer.text
    assert "2 files tried" in answer.text
    assert "chest CT" in answer.text
    assert "matches" in answer.text
    _, others = make_study(1, Modality="MR")
    missed = site.client.post("/routes/try", content=make_body([encode(others[0])]), headers=head)
    assert "NO JOB" in missed.text
    assert re.search(r'class="warn">Modality[^<]*MR', missed.text)
    assert {path.name for path in site.settings.node.home.iterdir()} - before <= {"audit.jsonl"}
    assert not site.ledger.find_studies()
    refused = site.client.post("/routes/try", content=make_body([b"no image"]), headers=head)
    assert refused.status_code == 400
    assert site.client.post("/routes/try", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    torn = site.client.post("/routes/try", content=body[:-40], headers=head)
    assert torn.status_code == 400
    many = site.client.post("/routes/try", content=make_body([b"x"] * 201), headers=head)
    assert many.status_code == 413


# Who may


@pytest.fixture
def guarded(tmp_path):
    patch = pytest.MonkeyPatch()
    patch.setattr(hashes, "COST", 1 << 10)
    users = UserFile(tmp_path / "users.toml")
    for role in Role:
        users.add(role.value, role, PASSWORD)
    site = Site(tmp_path)
    yield site
    site.ledger.close()
    patch.undo()


def log_in(site, name):
    assert site.post("/login", name=name, password=PASSWORD).status_code == 303


def test_a_viewer_sees_no_button_and_may_press_none(guarded):
    job = add_failed(guarded.ledger)
    assert guarded.get("/", headers={"Accept": "text/html"}).headers["Location"].startswith("/login")
    log_in(guarded, "viewer")
    text = guarded.get(f"/jobs/{job.id}").text
    assert "Retry" not in text
    csrf = re.search(r'name="csrf" value="([^"]+)"', text)[1]
    assert guarded.post(f"/jobs/{job.id}/retry", csrf=csrf).status_code == 403
    assert guarded.ledger.get_job(job.id).state == State.FAILED


def test_an_operators_form_counts_only_with_its_sessions_secret(guarded):
    job = add_failed(guarded.ledger)
    log_in(guarded, "operator")
    text = guarded.get(f"/jobs/{job.id}").text
    secrets = set(re.findall(r'name="csrf" value="([^"]+)"', text))
    assert len(secrets) == 1
    assert guarded.post(f"/jobs/{job.id}/retry").status_code == 403
    assert guarded.post(f"/jobs/{job.id}/retry", csrf="guessed").status_code == 403
    assert guarded.ledger.get_job(job.id).state == State.FAILED
    assert guarded.post(f"/jobs/{job.id}/retry", csrf=secrets.pop()).status_code == 303
    assert guarded.ledger.get_job(job.id).state == State.QUEUED
    assert '"user": "operator"' in guarded.audit()[-1]


def test_a_program_with_a_password_needs_no_secret(guarded):
    job = add_failed(guarded.ledger)
    shown = {"Authorization": "Basic " + base64.b64encode(f"operator:{PASSWORD}".encode()).decode()}
    assert guarded.client.post(f"/jobs/{job.id}/retry", headers=shown).status_code == 303
    assert guarded.ledger.get_job(job.id).state == State.QUEUED
