"""Receivers are told what became of a job: once as they see it, never not at all, and nothing of it is kept here."""

import errno
import logging
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from threading import Event

import pytest

from node.errors import PeerUnreachable
from node.model.job import State
from node.model.message import MessageState, Subject
from node.orders.patients import Demographics
from node.outbound.telling import letters, teller
from node.outbound.telling.knock import knock
from node.oversight.overview import list_rows
from node.tables import make_history
from tests.certificates import make_certificates
from tests.jobs import JOB
from tests.node.messages.letters import NAME, ORDER, PATIENT, make_report
from tests.node.outbound.telling_house import CRITICAL, Ehr, House, Ris, acknowledge, raw_receiver, read_raw
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def make_house(tmp_path):
    houses = []

    def make(*args, **more):
        houses.append(House(tmp_path, *args, **more))
        return houses[-1]

    yield make
    for house in houses:
        house.ledger.close()


def test_a_confirmed_job_is_told_once(make_house):
    with Ris() as ris:
        house = make_house(ris.port)
        job = house.encode(house.add())
        house.teller.tick(time.time())
        assert not ris.messages and not house.ledger.find_messages(job.id)
        house.ledger.move_job(job, State.DELIVERED, time.time(), "deliver")
        house.teller.tick(time.time())
        assert house.message().state == MessageState.WAITING and not ris.messages
        house.ledger.move_job(house.ledger.get_job(job.id), State.CONFIRMED, time.time(), "confirm")
        house.run_until("SENT")
        house.teller.tick(time.time())
        assert ris.ids == [house.message().control_id]
        assert house.message().answer == "AA"
        assert house.history() == ["ris, result: AA"]


def test_a_receiver_may_be_told_when_the_results_are_delivered(make_house):
    with Ris() as ris:
        house = make_house(ris.port, at="delivered")
        job = house.ledger.move_job(house.encode(house.add()), State.DELIVERED, time.time(), "deliver")
        house.run_until("SENT")
        house.ledger.move_job(job, State.CONFIRMED, time.time(), "confirm")
        house.teller.tick(time.time())
        assert house.message().state == MessageState.SENT
        assert len(ris.messages) == 1


def test_results_that_are_sent_again_are_not_told_again(make_house):
    with Ris() as ris:
        house = make_house(ris.port)
        house.finish()
        house.run_until("SENT")
        for to in (State.ENCODED, State.DELIVERED, State.CONFIRMED):
            house.ledger.move_job(house.ledger.get_job(JOB.id), to, time.time(), "test")
        house.teller.tick(time.time())
        assert house.message().state == MessageState.SENT
        assert len(ris.messages) == 1


def test_that_the_algorithm_did_not_run_is_told_and_a_later_result_too(make_house):
    with Ris() as ris:
        house = make_house(ris.port)
        house.refuse()
        house.run_until("SENT")
        assert "did not run" in str(ris.messages[0])
        house.ledger.move_job(house.ledger.get_job(JOB.id), State.QUEUED, time.time(), "retry")
        job = house.ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
        house.encode(job)
        for to in (State.DELIVERED, State.CONFIRMED):
            house.ledger.move_job(house.ledger.get_job(JOB.id), to, time.time(), "test")
        assert house.message().state == MessageState.WAITING
        house.run_until("SENT")
        assert "did not run" not in str(ris.messages[1])
        assert len(set(ris.ids)) == 2


def test_a_job_that_failed_without_a_word_is_not_told(make_house):
    with Ris() as ris:
        house = make_house(ris.port)
        house.ledger.move_job(house.add(), State.FAILED, time.time(), "housekeeping", "WorkerLost: gone")
        house.teller.tick(time.time())
        assert house.message().state == MessageState.DROPPED
        assert not ris.messages


def test_of_two_versions_the_later_speaks(make_house):
    port = free_port()
    house = make_house(port)
    house.finish()
    house.teller.tick(time.time())
    assert house.message().state == MessageState.PENDING
    with house.ledger._engine.begin() as db:
        db.exec_driver_sql("UPDATE job SET superseded_by = 'x'")
    with Ris(port=port) as ris:
        house.run_until("DROPPED")
        assert "superseded" in house.message().answer
        assert not ris.messages


@pytest.mark.parametrize("code", ["AE", "CE"])
def test_what_a_receiver_cannot_take_now_comes_again_with_the_same_id(make_house, code):
    answers = [code, code]
    with Ris(lambda _: answers.pop() if answers else "AA") as ris:
        house = make_house(ris.port)
        house.finish()
        house.run_until("SENT")
        assert len(ris.messages) == 3
        assert len(set(map(str, ris.messages))) == 1
        assert house.message().attempts == 3


@pytest.mark.parametrize("code", ["AR", "CR"])
def test_what_a_receiver_refuses_is_named_in_the_history_and_not_sent_again(make_house, code):
    with Ris(lambda _: code) as ris:
        house = make_house(ris.port)
        house.finish()
        house.run_until("REFUSED")
        house.teller.tick(time.time() + 3600)
        assert len(ris.messages) == 1
        assert house.history() == [f"ris, result: MessageRefused: {code}"]
        for to in (State.ENCODED, State.DELIVERED, State.CONFIRMED):  # an operator had the results sent again
            house.ledger.move_job(house.ledger.get_job(JOB.id), to, time.time(), "test")
        house.run_until("REFUSED")
        assert len(ris.messages) == 2


def test_a_receiver_that_is_away_gets_it_when_it_is_back_and_costs_one_try_a_wait(make_house):
    port = free_port()
    house = make_house(port)
    house.finish()
    for _ in range(5):
        house.teller.tick(time.time() + 1)
    assert house.message().state == MessageState.PENDING
    assert "PeerUnreachable: no connection to" in house.message().answer
    assert house.ledger.find_circuits()["ris"].is_open
    with Ris(port=port) as ris:
        house.run_until("SENT")
        assert ris.ids == [house.message().control_id]
    assert not house.ledger.find_circuits()["ris"].is_open


def test_silence_is_no_answer_and_holds_up_nobody_else(make_house):
    deaf = []

    def answer(message):
        name = str(message.segment("MSH")[10])
        deaf[:] = deaf or [name]
        return None if name == deaf[0] else "AA"

    with Ris(answer) as ris:
        house = make_house(ris.port, deliver={"answer_wait": "PT0.3S", "open_circuit_after": 100})
        house.finish(0)
        house.finish(1)
        with house.running():
            assert wait_until(lambda: "SENT" in {house.message(job_id=f"{n:032x}").state for n in (0, 1)})
            assert wait_until(lambda: ris.ids.count(deaf[0]) > 2)
        silent = next(m for n in (0, 1) if (m := house.message(job_id=f"{n:032x}")).control_id == deaf[0])
        assert silent.state == MessageState.PENDING
        other = house.message(job_id=f"{1 - int(silent.job_id):032x}")
        assert (other.state, other.attempts) == (MessageState.SENT, 1)
        assert "no acknowledgment" in silent.answer


def test_past_its_time_a_message_is_given_up(make_house):
    house = make_house(free_port(), deliver={"give_up": "PT0.3S"})
    house.finish()
    house.run_until("REFUSED")
    assert house.message().answer.startswith("MessageRefused: gave up: PeerUnreachable: no connection")
    assert len(house.history()) == 1


def test_odd_framing_garbage_and_late_answers_do_no_harm(make_house):
    seen = []

    def serve(connection, _):
        text = read_raw(connection)
        seen.append(text)
        answer = acknowledge(text)
        other = answer.replace(text.split(b"|")[9], b"WRSOMEBODYELSE")
        connection.sendall(b"\r\nhello" + other + b"\x0bMSH|half a mess")
        for place in range(0, len(answer), 7):
            connection.sendall(answer[place : place + 7])
        connection.recv(1)

    with raw_receiver(serve) as port:
        house = make_house(port)
        house.finish()
        house.run_until("SENT")
        assert len(seen) == 1


def test_a_line_that_breaks_after_the_message_brings_it_again(make_house):
    seen = []

    def serve(connection, number):
        seen.append(read_raw(connection))
        if number > 1:
            connection.sendall(acknowledge(seen[-1])[:-1])  # without the last <CR>
            connection.recv(1)

    with raw_receiver(serve) as port:
        house = make_house(port)
        house.finish()
        house.run_until("SENT")
        assert len(seen) == 3
        assert len(set(seen)) == 1


def test_an_answer_without_an_end_is_none(make_house):
    with raw_receiver(lambda connection, _: connection.sendall(b"\x0b" + b"x" * (3 << 20))) as port:
        house = make_house(port)
        house.finish()
        house.run_until("PENDING")
        assert wait_until(lambda: house.teller.tick(time.time() + 9) or "PeerUnreachable" in house.message().answer)


TELL = """
import sys, time
from node.config import load_settings
from node.ledger import SqlLedger
from node.orders.book import OrderBook
from node.orders.patients import PatientBook
from node.outbound.telling.teller import Teller
from node.worklist import Worklist
settings = load_settings()
book = OrderBook(settings.order_book)
teller = Teller("ris", settings, SqlLedger(settings.ledger_url), book, PatientBook(book), Worklist(settings.node.home))
while True:
    teller.tick(time.time())
    time.sleep(0.05)
"""


def test_a_sender_killed_before_the_answer_sends_the_same_message_again(make_house, tmp_path):
    got, release = [], Event()

    def answer(message):
        got.append(message)
        return "AA" if release.is_set() else None

    with Ris(answer) as ris:
        house = make_house(ris.port, deliver={"answer_wait": "PT60S"})
        house.finish()
        file = tmp_path / "wetread.toml"
        file.write_text(
            f'[node]\nhome = "{tmp_path / "home"}"\n'
            f'[messages.ris]\nkind = "hl7"\naddress = "127.0.0.1:{ris.port}"\n[deliver]\nretry_first = "PT0.2S"\n'
        )
        environment = dict(os.environ) | {"WETREAD_CONFIG": str(file), "PYTHONPATH": str(ROOT)}
        sender = subprocess.Popen([sys.executable, "-c", TELL], env=environment)
        assert wait_until(lambda: got, 30)
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        assert house.message().state == MessageState.PENDING
        release.set()
        house.run_until("SENT")
        assert len(got) == 2
        assert len(set(map(str, got))) == 1


def test_a_critical_finding_raises_the_priority_and_no_other_does(make_house):
    with Ris() as ris:
        template = {"critical": CRITICAL}
        house = make_house(ris.port, orders=[ORDER], order_update="OMI^O23", template=template)
        house.finish(0)
        house.finish(1, make_report(count=1, job_id=f"{1:032x}"))
        house.run_until("SENT")
        house.run_until("SENT", job_id=f"{1:032x}")
        house.run_until("SENT", Subject.PRIORITY)
        kinds = [str(message.segment("MSH")[9]) for message in ris.messages]
        assert kinds.count("OMI^O23^OMI_O23") == 1 and kinds.count("ORU^R01^ORU_R01") == 2
        assert house.message(Subject.PRIORITY, f"{1:032x}") is None
        update = ris.messages[kinds.index("OMI^O23^OMI_O23")]
        assert str(update.segment("ORC")[3]) == "F1"
        assert len(set(ris.ids)) == 3


def test_a_priority_that_nobody_could_find_the_order_of_is_refused_by_name(make_house):
    with Ris() as ris:
        house = make_house(ris.port, order_update="ORM^O01", template={"critical": CRITICAL})
        house.finish(report=make_report(AccessionNumber="", job_id=JOB.id))
        house.run_until("SENT")
        assert "no accession number" in house.message(Subject.PRIORITY).answer
        assert [text for text in house.history() if "priority: MessageRefused: no accession number" in text]
        assert len(ris.messages) == 1


def test_an_order_of_another_patient_is_not_named(make_house):
    from dataclasses import replace

    with Ris() as ris:
        house = make_house(ris.port, orders=[replace(ORDER, patient_id="SOMEBODY")])
        house.finish()
        house.run_until("SENT")
        assert str(ris.messages[0].segment("OBR")[2]) == ""


def test_a_report_that_is_gone_or_damaged_is_said_so(make_house):
    port = free_port()
    house = make_house(port)
    house.finish(0)
    house.finish(1)
    house.teller.tick(time.time())
    for number, harm in ((0, Path.unlink), (1, lambda path: path.write_bytes(b"DICM"))):
        for one in house.ledger.find_objects(f"{number:032x}"):
            harm(house.settings.outbox / one.path)
    with Ris(port=port) as ris:
        house.run_until("REFUSED")
        house.run_until("REFUSED", job_id=f"{1:032x}")
        assert "no report" in house.message().answer
        assert "cannot be read" in house.message(job_id=f"{1:032x}").answer
        assert not ris.messages


def test_nothing_of_the_patient_is_in_ledger_log_or_error(make_house, caplog):
    answers = ["AE", "AR"]
    with caplog.at_level(logging.DEBUG), Ris(lambda _: answers.pop(0)) as ris:
        house = make_house(ris.port, orders=[ORDER])
        house.finish()
        house.run_until("REFUSED")
        assert "Zoë" in str(ris.messages[0])
    house.ledger._engine.dispose()
    kept = b"".join(path.read_bytes() for path in house.settings.node.home.glob("ledger.sqlite*"))
    # Whole words of four bytes and more: random bytes of a database file hold any two letters now and then.
    for secret in ("Zoë", "Lüden", PATIENT["PatientID"], "A-17", "19600229", "House", "Cough", NAME):
        assert secret.encode() not in kept
        assert secret not in caplog.text


def test_show_lists_who_was_told_what(make_house):
    from rich.console import Console

    with Ris() as ris:
        house = make_house(ris.port)
        job = house.finish()
        house.run_until("SENT")
        console = Console(width=200, record=True, file=StringIO())
        console.print(make_history(house.ledger, job, house.settings.outbox))
        line = next(line for line in console.export_text().splitlines() if house.message().control_id in line)
        assert re.search(r"ris +result +SENT +1 +WR[0-9A-F]{18} +AA", line)
        assert list_rows(house.ledger)


def test_a_fhir_server_gets_a_transaction_and_a_repeat_makes_nothing_twice(make_house, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with Ehr([503, 429]) as ehr:
        house = make_house(kind="fhir", address=ehr.address, web={"token_file": str(token)})
        house.finish()
        house.run_until("SENT")
        assert house.message().answer == "HTTP 200"
        assert len(ehr.bundles) == 3
        assert all(bundle == ehr.bundles[0] for bundle in ehr.bundles)
        assert len(ehr.resources) == 3
        assert ehr.headers[0]["Authorization"] == "Bearer s3cret"
        assert ehr.headers[0]["Content-Type"] == "application/fhir+json"


def test_what_a_fhir_server_refuses_is_named_by_its_codes_alone(make_house):
    with Ehr([422]) as ehr:
        house = make_house(kind="fhir", address=ehr.address)
        house.finish()
        house.run_until("REFUSED")
        assert house.history() == ["ris, result: MessageRefused: HTTP 422, business-rule"]


def test_a_fhir_server_that_does_not_know_us_is_tried_again(make_house):
    with Ehr([401, 403]) as ehr:
        house = make_house(kind="fhir", address=ehr.address)
        house.finish()
        house.run_until("SENT")
        assert len(ehr.bundles) == 3


def test_doctor_knocks_at_every_receiver(make_house):
    with Ris() as ris, Ehr() as ehr:
        there = [make_house(ris.port).settings, make_house(kind="fhir", address=ehr.address).settings]
    away = make_house(free_port()).settings
    with Ris(port=ris.port):
        assert "takes connections" in knock(there[0].messages["ris"], 5.0)
    for settings in (away, there[1]):
        with pytest.raises(PeerUnreachable):
            knock(settings.messages["ris"], 5.0)


def test_by_tls_a_receiver_is_believed_by_its_authority_alone(make_house, tmp_path):
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ours.pem", tmp_path / "ours.key")
    with Ris(tls=context) as ris:
        house = make_house(ris.port, tls={"authorities": str(tmp_path / "stranger.pem")})
        house.finish()
        house.teller.tick(time.time())
        assert "no TLS with" in house.message().answer
        assert not ris.messages
        house = make_house(ris.port, tls={"authorities": str(tmp_path / "ours.pem")})
        house.run_until("SENT")
        assert len(ris.messages) == 1


def test_by_tls_a_receiver_may_have_another_name_than_its_address(make_house, tmp_path):
    make_certificates(tmp_path, "DNS:ris.hospital.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ours.pem", tmp_path / "ours.key")
    tls = {"authorities": str(tmp_path / "ours.pem")}
    with Ris(tls=context) as ris:
        house = make_house(ris.port, tls=tls)
        house.finish()
        house.teller.tick(time.time())
        assert "no TLS with" in house.message().answer
        house = make_house(ris.port, tls=tls | {"name": "ris.hospital.test"})
        house.run_until("SENT")
        assert len(ris.messages) == 1


def test_a_patient_who_was_merged_since_is_named_as_the_receiver_knows_them(make_house):
    with Ris() as ris:
        house = make_house(ris.port, orders=[ORDER])
        house.patients.merge("P-1&7", "P-2", time.time())
        house.patients.keep(Demographics("P-2", "Miller^Zoe", "19600229", "F", time.time()))
        house.finish()
        house.run_until("SENT")
        patient = ris.messages[0].segment("PID")
        assert [str(repetition) for repetition in patient[3]] == ["P-2^^^HOSP", "P-1\\T\\7^^^HOSP"]
        assert str(patient[5]).startswith("Miller^Zoe")
        assert str(ris.messages[0].segment("OBR")[3]) == "F1"


def test_another_birth_date_is_another_patient(make_house):
    with Ris() as ris:
        house = make_house(ris.port)
        house.patients.keep(Demographics("P-1&7", "Somebody^Else", "19990101", "M", time.time()))
        house.finish()
        house.run_until("SENT")
        assert "Somebody" not in str(ris.messages[0])


def test_a_disk_that_fails_under_one_message_holds_up_no_other(make_house, monkeypatch):
    real, broken = letters.dcmread, [f"{0:032x}"]

    def read(path):
        if broken and path.parent.name == broken[0]:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    with Ris() as ris:
        house = make_house(ris.port)
        house.finish(0)
        house.finish(1)
        monkeypatch.setattr(letters, "dcmread", read)
        house.run_until("SENT", job_id=f"{1:032x}")
        assert house.message().state == MessageState.WAITING
        broken.clear()
        house.run_until("SENT")


def test_a_bug_of_ours_is_named_and_told_to_nobody(make_house, monkeypatch, caplog):
    def fail(*_):
        raise ValueError(NAME)

    monkeypatch.setattr(teller, "write", fail)
    with Ris() as ris:
        house = make_house(ris.port)
        house.finish()
        house.run_until("REFUSED")
        assert house.message().answer == "MessageRefused: it cannot be written (ValueError)"
        assert not ris.messages
        assert NAME not in caplog.text
        assert "teller.py" in caplog.text


def test_a_message_that_waits_keeps_its_tries_when_its_job_moves_on(make_house):
    house = make_house(free_port(), at="delivered", deliver={"retry_first": "PT60S", "retry_longest": "PT60S"})
    job = house.ledger.move_job(house.encode(house.add()), State.DELIVERED, time.time(), "deliver")
    house.teller.tick(time.time())
    before = house.message()
    assert (before.state, before.attempts) == (MessageState.PENDING, 1)
    house.ledger.move_job(job, State.CONFIRMED, time.time(), "confirm")
    house.teller.tick(time.time())
    assert house.message() == before
