"""The form in which a study is submitted by its uid: the same judgment as the API's, for people with a role."""

from html import unescape

import pytest

from node.model.job import State
from node.model.role import Role
from node.model.submission import SubmissionState
from node.web.access import hashes
from node.web.access.users import UserFile
from tests.jobs import add_job
from tests.node.web.service import Service
from tests.node.web.test_pages import PASSWORD, PEERS, ROUTES, Site
from tests.node.web.test_pages_browser import CHROMIUM, browser, log_in, service  # noqa: F401  fixtures
from tests.node.web.test_submit_api import ARCHIVE

ASKED = {"study_uid": " 1.2.3.77 ", "from": "archive", "work": "route:chest CT"}


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, peers=PEERS | {"archive": ARCHIVE})
    yield site
    site.ledger.close()


def test_the_form_offers_peers_that_can_be_asked_routes_and_pipelines(site):
    page = site.get("/submit?study=1.2.9").text
    assert "<option>archive</option>" in page
    assert "<option>pacs</option>" not in page
    assert 'value="route:chest CT"' in page
    assert 'value="pipeline:lung-seg"' in page
    assert 'value="1.2.9"' in page


@pytest.mark.parametrize(
    ("work", "route", "pipeline"), [("route:chest CT", "chest CT", ""), ("pipeline:lung-seg", "", "lung-seg")]
)
def test_what_is_submitted_is_written_down_and_its_page_says_what_became_of_it(site, work, route, pipeline):
    answer = site.post("/submit", **ASKED | {"work": work})
    (one,) = site.ledger.find_submissions("1.2.3.77")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/submissions/{one.id}")
    assert (one.route, one.pipeline, one.peer) == (route, pipeline, "archive")
    assert "archive will be asked for its images" in site.show(answer.headers["Location"])
    job = add_job(site.ledger, study_uid="1.2.3.77")
    site.ledger.move_submission(one, SubmissionState.MADE, "4 of 4", 0.0, [job.id])
    page = site.get(f"/submissions/{one.id}").text
    assert f'href="/jobs/{job.id}"' in page
    assert State.QUEUED in page


def test_to_have_it_read_again_is_asked_for_by_a_box(site):
    site.post("/submit", **ASKED)
    (one,) = site.ledger.find_submissions()
    site.ledger.move_submission(one, SubmissionState.MADE, "nothing", 0.0, [])
    site.post("/submit", **ASKED)
    assert site.ledger.find_submissions()[0].state == SubmissionState.MADE
    site.post("/submit", **ASKED, again="1")
    assert site.ledger.find_submissions()[0].state == SubmissionState.ASKED


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"study_uid": "1.2.x"}, 400, "study_uid is a Study Instance UID"),
        ({"study_uid": ""}, 400, "study_uid is a Study Instance UID"),
        ({"from": "pacs"}, 404, "from names no peer with query = true"),
        ({"work": "route:none"}, 404, "there is no such route"),
        ({"work": "nonsense"}, 400, "name either a route or a pipeline"),
    ],
)
def test_what_makes_no_sense_is_said_in_the_form_with_what_was_filled_in(site, change, status, said):
    answer = site.post("/submit", **ASKED | change)
    assert answer.status_code == status
    assert said in unescape(answer.text)
    assert f'value="{(ASKED | change)["study_uid"]}"' in answer.text
    assert site.ledger.find_submissions() == []


def test_a_submission_that_is_not_there_is_a_page_that_says_so(site):
    assert site.get("/submissions/none").status_code == 404


def test_a_viewer_sees_no_form_and_may_not_send_it(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "COST", 1 << 10)
    UserFile(tmp_path / "users.toml").add("vic", Role.VIEWER, PASSWORD)
    site = Site(tmp_path, peers=PEERS | {"archive": ARCHIVE})
    site.client.auth = ("vic", PASSWORD)
    page = site.show("/submit")
    assert "An operator may submit studies" in page
    assert "What to do" not in page
    assert site.post("/submit", **ASKED).status_code == 403
    assert site.ledger.find_submissions() == []
    site.ledger.close()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_study_is_submitted_by_keyboard_alone_and_not_without_the_sessions_secret(browser, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(hashes, "COST", 1 << 10)
    UserFile(tmp_path / "users.toml").add("ann", "operator", PASSWORD)
    with Service(tmp_path, peers=PEERS | {"archive": ARCHIVE}, routes=ROUTES) as running:
        log_in(browser, running, "/submit")
        stolen = browser.evaluate(
            "fetch('/submit', {method: 'POST', body: new URLSearchParams({study_uid: '1.2.3', from: 'archive',"
            " work: 'route:chest CT'})}).then((answer) => answer.status)"
        )
        assert stolen == 403
        browser.errors.clear()  # that one
        for _ in range(40):
            press(browser, "Tab")
            if browser.evaluate("document.activeElement.name === 'study_uid'"):
                break
        browser.ask("Input.insertText", text="1.2.3.77")
        press(browser, "Enter")
        browser.wait("location.pathname.startsWith('/submissions/') && document.readyState === 'complete'")
        assert "ASKED" in browser.evaluate("document.body.innerText")
        (one,) = running.ledger.find_submissions()
        assert (one.study_uid, one.peer, one.route) == ("1.2.3.77", "archive", "chest CT")
        assert not browser.errors


def press(browser, key):  # noqa: F811
    code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
    said = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    browser.ask("Input.dispatchKeyEvent", type="keyDown", **said, **({"text": text} if text else {}))
    browser.ask("Input.dispatchKeyEvent", type="keyUp", **said)
