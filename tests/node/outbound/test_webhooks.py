"""Webhooks: what is told, in which order, signed how; and what becomes of it when nobody answers."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError
from typer.testing import CliRunner

from node.cli import app
from node.config import Settings, load_settings
from node.errors import ConfigError, PeerUnreachable
from node.ledger import SqlLedger
from node.ledger.webhooks import find_code
from node.model.job import State
from node.outbound.signature import make_headers, read_secrets
from node.outbound.webhook import WebhookNotifier
from node.oversight.webhooks import list_hooks
from tests.jobs import JOB, add_job
from tests.waiting import wait_until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(40, 72))).decode()


class Receiver:
    """answer(event) -> the status of the answer. got: (headers, body) of each request."""

    def __init__(self):
        self.answer = lambda _event: 204
        self.got = []
        self.headers = {}

    def told(self):
        return [(event["data"]["job_id"][:1], event["data"]["state"]) for event in map(json.loads, self.bodies())]

    def bodies(self):
        return [body for _, body in self.got]


@contextmanager
def listen(receiver):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers), body))
            status = receiver.answer(json.loads(body))
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        server.server_close()


class Bench:
    """A ledger, and who tells one hook of it. rules: of the hook; `send` rounds go as fast as they may."""

    def __init__(self, home, url, **rules):
        (home / "secret").write_text(SECRET)
        hook = {"url": url, "secret_file": str(home / "secret")} | rules
        deliver = {"retry_first": "PT0S", "answer_wait": "PT5S"}
        self.settings = Settings.model_validate({"node": {"home": home}, "webhooks": {"ris": hook}, "deliver": deliver})
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.notifier = WebhookNotifier("ris", self.settings, self.ledger)

    def finish(self, job):
        """A job goes its way to CONFIRMED."""
        claimed = self.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
        job = self.ledger.move_job(claimed, State.ENCODED, time.time(), "encode")
        job = self.ledger.move_job(job, State.DELIVERED, time.time(), "deliver")
        return self.ledger.move_job(job, State.CONFIRMED, time.time(), "confirm")

    def rounds(self, number=8, at=None):
        for _ in range(number):
            self.notifier.tick(time.time() if at is None else at)

    def row(self):
        return list_hooks(self.settings, self.ledger)[0]


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def bench(tmp_path, receiver):
    with listen(receiver) as url:
        bench = Bench(tmp_path, url)
        yield bench
        bench.ledger.close()


# What is told


def test_every_change_of_a_job_s_state_is_told_in_order_and_verified_by_another_s_library(bench, receiver):
    bench.finish(add_job(bench.ledger))
    bench.rounds()
    assert [state for _, state in receiver.told()] == ["QUEUED", "CLAIMED", "ENCODED", "DELIVERED", "CONFIRMED"]
    for headers, body in receiver.got:
        event = Verifier(SECRET).verify(body, headers)
        assert event["type"] == f"job.{event['data']['state'].lower()}"
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(body.replace(b"1.2.3", b"1.2.4"), headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(OTHER).verify(body, headers)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 5
    assert (bench.row().condition, bench.row().sent, bench.row().waiting) == ("told", 5, 0)


def test_what_is_told_is_uids_states_and_codes_alone(bench, receiver):
    job = add_job(bench.ledger)
    bench.ledger.move_job(job, State.FAILED, time.time(), "load", "TooFewSlices: 2 planes of somebody")
    bench.rounds()
    event = json.loads(receiver.bodies()[-1])
    assert event["type"] == "job.failed"
    assert event["data"] == {
        "node": "WETREAD",
        "number": 2,
        "job_id": JOB.id,
        "study_uid": "1.2.3",
        "route": "chest CT",
        "pipeline": "lung-seg",
        "version": 1,
        "state": "FAILED",
        "station": "load",
        "code": "TooFewSlices",
    }
    assert not [body for body in receiver.bodies() if b"somebody" in body]
    assert [json.loads(body)["data"]["code"] for body in receiver.bodies()] == ["", "TooFewSlices"]


def test_a_code_is_the_name_of_an_error_and_nothing_else():
    lines = ("WorkerLost: no heartbeat", "unforeseen KeyError; a bug", "complete: all is here", "priority stat", "")
    assert [find_code(line) for line in lines] == ["WorkerLost", "unforeseen", "", "", ""]


def test_a_line_that_changes_no_state_is_told_only_to_who_wants_notes(tmp_path, receiver):
    with listen(receiver) as url:
        bench = Bench(tmp_path, url, events=["note"])
        bench.ledger.set_priority(add_job(bench.ledger), "stat", time.time())
        bench.rounds()
        assert [json.loads(body)["type"] for body in receiver.bodies()] == ["job.noted"]
        bench.ledger.close()


def test_a_hook_is_told_of_its_states_and_pipelines_alone(tmp_path, receiver):
    with listen(receiver) as url:
        bench = Bench(tmp_path, url, states=["CONFIRMED", "FAILED"], pipelines=["lung-seg"])
        bench.finish(add_job(bench.ledger, id="a" * 32))
        other = add_job(bench.ledger, id="b" * 32, study_uid="1.2.4", pipeline="brain-extract")
        bench.ledger.move_job(other, State.FAILED, time.time(), "load", "x")
        bench.rounds()
        assert receiver.told() == [("a", "CONFIRMED")]
        bench.ledger.close()


def test_a_new_hook_is_not_told_of_what_was_before_it(tmp_path, receiver):
    ledger = SqlLedger(Settings.model_validate({"node": {"home": tmp_path}}).ledger_url)
    add_job(ledger, id="a" * 32)
    ledger.close()
    with listen(receiver) as url:
        bench = Bench(tmp_path, url)
        add_job(bench.ledger, id="b" * 32, study_uid="1.2.4")
        bench.rounds()
        assert receiver.told() == [("b", "QUEUED")]
        bench.ledger.close()


# What is not answered


def test_a_later_event_of_a_job_waits_for_the_earlier_one_and_other_jobs_do_not(bench, receiver):
    receiver.answer = lambda event: 503 if event["data"]["job_id"].startswith("a") else 200
    bench.finish(add_job(bench.ledger, id="a" * 32))
    bench.finish(add_job(bench.ledger, id="b" * 32, study_uid="1.2.4"))
    bench.rounds()
    assert {state for key, state in receiver.told() if key == "a"} == {"QUEUED"}
    assert [state for key, state in receiver.told() if key == "b"][-1] == "CONFIRMED"
    receiver.answer, receiver.got[:] = lambda _event: 200, []
    bench.rounds()
    assert [state for _, state in receiver.told()] == ["QUEUED", "CLAIMED", "ENCODED", "DELIVERED", "CONFIRMED"]


def test_a_second_try_has_the_same_id_and_the_same_bytes(bench, receiver):
    receiver.answer = lambda _event: 500
    add_job(bench.ledger)
    bench.rounds(3)
    assert len(receiver.got) == 3
    assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1


def test_410_pauses_the_hook_visibly_until_somebody_resumes_it(bench, receiver):
    receiver.answer = lambda _event: 410
    bench.finish(add_job(bench.ledger))
    bench.rounds()
    assert len(receiver.got) == 1
    assert (bench.row().condition, bench.row().waiting) == ("paused", 5)
    assert "410" in bench.row().answer
    receiver.answer = lambda _event: 200
    assert bench.ledger.resume_hook("ris", time.time())
    bench.rounds()
    assert [state for _, state in receiver.told()][1:] == ["QUEUED", "CLAIMED", "ENCODED", "DELIVERED", "CONFIRMED"]


def test_a_redirection_is_not_followed(bench, receiver):
    receiver.answer, receiver.headers = lambda _event: 307, {"Location": "http://127.0.0.1:1/elsewhere"}
    add_job(bench.ledger)
    bench.rounds(1)
    assert (len(receiver.got), bench.row().waiting, bench.row().answer) == (1, 1, "HTTP 307")


def test_what_was_tried_in_vain_for_too_long_is_given_up_and_can_be_sent_again(bench, receiver):
    receiver.answer = lambda _event: 500
    job = add_job(bench.ledger, created_at=1.0)
    bench.settings.__dict__["deliver"] = bench.settings.deliver.model_copy(
        update={"give_up": bench.settings.deliver.retry_first}
    )
    bench.ledger.move_job(job, State.FAILED, time.time() - 1, "load", "x")
    bench.rounds(6)
    assert (bench.row().dead, bench.row().waiting) == (2, 0)
    assert bench.ledger.find_dead("ris", 5)[0].answer == "HTTP 500"
    receiver.answer, receiver.got[:] = lambda _event: 200, []
    assert bench.ledger.revive_notices("ris", time.time()) == 2
    bench.rounds(2)
    assert [state for _, state in receiver.told()] == ["QUEUED", "FAILED"]
    assert bench.row().dead == 0


def test_a_receiver_that_is_away_costs_one_try_a_wait(tmp_path):
    bench = Bench(tmp_path, "http://127.0.0.1:1/hook")
    waits = bench.settings.deliver.model_copy(update={"retry_first": bench.settings.deliver.retry_longest})
    bench.settings.__dict__["deliver"] = waits
    bench.finish(add_job(bench.ledger, id="a" * 32))
    bench.finish(add_job(bench.ledger, id="b" * 32, study_uid="1.2.4"))
    bench.rounds()
    row = bench.row()
    assert (row.condition, row.waiting, row.answer) == ("away", 10, "no answer: ConnectError")
    assert bench.ledger.find_hooks()["ris"].failures == 1
    assert sum(one.attempts for one in bench.ledger.find_notices_due("ris", time.time() + 1e6, 100)) == 1
    bench.ledger.close()


def test_what_was_told_is_remembered_for_as_long_as_results(bench):
    add_job(bench.ledger)
    bench.rounds()
    assert bench.row().sent == 1
    bench.ledger.forget_notices(time.time())
    assert bench.row().sent == 0


# What a crash takes


KEEP = (
    "from threading import Event; from node import wiring, config; wiring.run_keeping(config.load_settings(), Event())"
)


def start_keeping(folder):
    environ = os.environ | {"WETREAD_CONFIG": str(folder / "wetread.toml")}
    return subprocess.Popen([sys.executable, "-c", KEEP], env=environ, stderr=subprocess.DEVNULL)


def test_a_keeper_that_is_killed_between_the_change_and_the_answer_loses_nothing(tmp_path, receiver):
    """Killed while the receiver holds its breath; the job goes on while nobody keeps; the next keeper tells it all."""
    breath = threading.Event()
    receiver.answer = lambda _event: breath.wait(30) and 200
    with listen(receiver) as url:
        (tmp_path / "secret").write_text(SECRET)
        hook = f'[webhooks.ris]\nurl = "{url}"\nsecret_file = "secret"\n'
        (tmp_path / "wetread.toml").write_text(f'[node]\nlisten = "127.0.0.1:1"\nhome = "home"\n{hook}')
        ledger = SqlLedger(load_settings(tmp_path / "wetread.toml").ledger_url)
        ledger.open_hook("ris")
        job = add_job(ledger)
        keeper = start_keeping(tmp_path)
        try:
            assert wait_until(lambda: receiver.got, 60)
            keeper.send_signal(signal.SIGKILL)
            keeper.wait(20)
            ledger.move_job(ledger.get_job(job.id), State.CANCELED, time.time(), "cancel")
            breath.set()
            keeper = start_keeping(tmp_path)
            assert wait_until(lambda: "CANCELED" in [state for _, state in receiver.told()], 60)
        finally:
            keeper.kill()
            keeper.wait(20)
            ledger.close()
    assert [state for _, state in receiver.told()] == ["QUEUED", "QUEUED", "CANCELED"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2


def test_two_who_read_the_history_at_once_tell_each_line_once(bench):
    add_job(bench.ledger)
    stale = bench.ledger.open_hook("ris")
    assert bench.ledger.draw_notices(stale, lambda _notice: True, 1.0, 10) == 1
    assert bench.ledger.draw_notices(stale, lambda _notice: True, 1.0, 10) == 0
    assert bench.row().waiting == 1


# The secret, and the configuration


def test_two_secrets_sign_so_that_one_can_be_replaced(tmp_path):
    (tmp_path / "secret").write_text(f"{OTHER}\n{SECRET}\n")
    headers = make_headers("msg_1", int(time.time()), b"{}", read_secrets(tmp_path / "secret"))
    for secret in (SECRET, OTHER):
        Verifier(secret).verify(b"{}", headers)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_????", "whsec_" + base64.b64encode(b"short").decode(), "ä"])
def test_a_file_without_a_fit_secret_is_named(tmp_path, text):
    (tmp_path / "secret").write_text(text)
    with pytest.raises(PeerUnreachable, match="secret_file"):
        read_secrets(tmp_path / "secret")


def test_a_secret_that_is_missing_is_a_reason_that_people_see(bench, receiver, tmp_path):
    (tmp_path / "secret").unlink()
    add_job(bench.ledger)
    bench.rounds(1)
    assert (receiver.got, bench.row().condition) == ([], "away")
    assert "FileNotFoundError" in bench.row().answer


@pytest.mark.parametrize(
    "url",
    [
        "http://ris.hospital.test/",
        "http://10.0.0.7/",
        "ftp://ris.hospital.test/",
        "https://me:word@ris.test/",
        "https://",
    ],
)
def test_an_address_that_would_betray_us_is_refused(url):
    with pytest.raises(ValidationError):
        Settings.model_validate({"webhooks": {"ris": {"url": url, "secret_file": "s"}}})


def test_plain_http_is_for_this_machine_or_for_who_says_so():
    for rules in ({"url": "http://localhost:1/"}, {"url": "http://[::1]:1/"}):
        Settings.model_validate({"webhooks": {"ris": rules | {"secret_file": "s"}}})
    rules = {"url": "http://10.0.0.7/", "allow_http": True, "secret_file": "s"}
    assert Settings.model_validate({"webhooks": {"ris": rules}}).webhooks["ris"].allow_http


def test_a_pipeline_that_there_is_not_stops_the_start(tmp_path):
    place = tmp_path / "wetread.toml"
    place.write_text('[webhooks.ris]\nurl = "https://ris.test/"\nsecret_file = "s"\npipelines = ["lung"]\n')
    with pytest.raises(ConfigError, match=r"webhooks\.ris\.pipelines: no pipeline 'lung'"):
        load_settings(place, {})


# The command line


def test_the_command_line_lists_resumes_and_retries(tmp_path, bench, receiver):
    receiver.answer = lambda _event: 410
    add_job(bench.ledger)
    bench.rounds(1)
    hook = f'[webhooks.ris]\nurl = "{bench.settings.webhooks["ris"].url}"\nsecret_file = "secret"\n'
    (tmp_path / "wetread.toml").write_text(f'[node]\nhome = "."\n{hook}')

    def say(*words):
        return CliRunner().invoke(app, ["webhooks", *words, "--config", str(tmp_path / "wetread.toml")])

    assert json.loads(say("list", "--json").output)[0]["condition"] == "paused"
    assert "HTTP 410" in say("list").output
    assert "told again" in say("resume", "ris").output
    assert bench.row().condition == "told"
    assert "0 events" in say("retry", "ris").output
    assert isinstance(say("resume", "nobody").exception, ConfigError)
