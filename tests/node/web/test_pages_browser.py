"""The pages in a real browser: Debian's chromium, driven by its own protocol over two pipes."""

import base64
import json
import os
import shutil
import subprocess
import time

import pytest

from node.model.job import State
from node.model.role import Role
from node.web.access import hashes
from node.web.access.users import UserFile
from tests.jobs import add_job
from tests.node.web.service import Service
from tests.node.web.test_pages import FAILED, PASSWORD, PEERS, ROUTES, add_failed
from tests.node.web.test_stow import encode, make_study

CHROMIUM = shutil.which("chromium")
PATIENCE = 20.0
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Browser:
    """One tab without a window. errors: what the page itself complained of."""

    def __init__(self, profile):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                 "--disable-background-networking", f"--user-data-dir={profile}"]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *words],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._held, self._number, self._session, self.errors = b"", 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log"):
            self.ask(f"{part}.enable")

    def close(self):
        self._process.kill()
        self._process.wait(10)
        os.close(self._write)
        os.close(self._read)

    def ask(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._hear()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}:
                self._note(answer["params"])

    def _note(self, error):
        """The login page has no icon, which a browser asks for all the same, and is refused."""
        if not error.get("entry", {}).get("url", "").endswith("/favicon.ico"):
            self.errors.append(error)

    def _hear(self):
        while b"\0" not in self._held:
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser is gone"
            self._held += piece
        line, self._held = self._held.split(b"\0", 1)
        return json.loads(line)

    def evaluate(self, script):
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def go(self, address):
        self.ask("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(address)}")

    def wait(self, condition):
        """Until the page says so; what it shows otherwise."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < end, (condition, self.evaluate("document.body.innerText"))
            time.sleep(0.05)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def service(tmp_path):
    patch = pytest.MonkeyPatch()
    patch.setattr(hashes, "COST", 1 << 10)
    UserFile(tmp_path / "users.toml").add("ann", "operator", PASSWORD)
    with Service(tmp_path, peers=PEERS, routes=ROUTES) as service:
        yield service
    patch.undo()


def log_in(browser, service, path):
    browser.errors.clear()
    browser.go(f"{service.url}/login?next={path}")
    browser.evaluate(f"""
        document.getElementById("name").value = "ann";
        document.getElementById("password").value = {json.dumps(PASSWORD)};
        document.querySelector("form").requestSubmit(); 1""")
    browser.wait(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'")


def test_an_operator_clicks_retry_and_sees_the_job_move_on_by_itself(browser, service):
    job = add_failed(service.ledger)
    log_in(browser, service, f"/jobs/{job.id}")
    assert browser.evaluate("document.querySelector('h1 .badge').textContent") == "FAILED"
    browser.evaluate("document.querySelector('button.main').click()")
    browser.wait("document.querySelector('h1 .badge')?.textContent === 'QUEUED'")
    assert "queued again" in browser.evaluate("document.querySelector('[role=status]').textContent")
    assert service.ledger.get_job(FAILED).state == State.QUEUED
    service.ledger.claim_job(FAILED, "w", time.time() + 60, time.time())
    browser.wait("document.querySelector('h1 .badge')?.textContent === 'CLAIMED'")
    assert not browser.errors


def test_the_list_grows_while_one_looks_at_it(browser, service):
    log_in(browser, service, "/")
    assert "No job is like that" in browser.evaluate("document.body.innerText")
    job = add_job(service.ledger, id="a" * 32, study_uid="1.2.40")
    browser.wait(f"document.querySelector('a[href=\"/jobs/{job.id}\"]') !== null")
    assert not browser.errors


def test_files_are_offered_to_the_routes_with_the_sessions_secret(browser, service):
    _, slices = make_study(2)
    texts = [base64.b64encode(encode(one)).decode() for one in slices]
    log_in(browser, service, "/routes")
    browser.evaluate(f"""
        const bag = new DataTransfer();
        for (const text of {json.dumps(texts)})
            bag.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], "image.dcm"));
        const input = document.querySelector("#trial input[name=files]");
        input.files = bag.files;
        input.dispatchEvent(new Event("change", {{ bubbles: true }})); 1""")
    browser.wait("document.getElementById('verdicts').innerText.includes('2 files tried')")
    assert "chest CT" in browser.evaluate("document.getElementById('verdicts').innerText")
    assert not service.ledger.find_studies()
    assert not browser.errors


def test_a_page_left_open_ends_at_the_login_when_its_session_does(browser, service):
    log_in(browser, service, "/queue")
    UserFile(service.settings.node.home / "users.toml").add("ann", Role.OPERATOR, PASSWORD + "!")
    browser.wait("location.pathname === '/login' && document.readyState === 'complete'")
    assert browser.evaluate("new URLSearchParams(location.search).get('next')") == "/queue"
    browser.errors.clear()  # the one 401
