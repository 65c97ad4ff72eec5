"""A node in a folder with a job whose report is real, and receivers that behave as a test wants them to."""

import asyncio
import json
import socket
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import hl7
from hl7 import mllp

from node.config import Settings
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState
from node.model.job import State
from node.model.message import MessageState, Subject
from node.orders.book import OrderBook
from node.orders.patients import PatientBook
from node.outbound.confirm import settle_jobs
from node.outbound.outbox import put_objects
from node.outbound.telling.teller import Teller
from node.worklist import Worklist
from tests.jobs import JOB, add_job
from tests.node.messages.letters import make_refused, make_report
from tests.waiting import wait_until

STUDY = "1.2.3.1"
CRITICAL = [{"finding": "27925004 SCT Nodule", "measurement": "118565006 SCT Volume", "min": 1.5}]


class House:
    """One job, told to the receiver `ris`. more: of the receiver."""

    def __init__(self, folder, port=0, deliver=None, orders=(), **more):
        receiver = {"kind": "hl7", "address": f"127.0.0.1:{port}"} | more
        rules = {"retry_first": "PT0.2S", "retry_longest": "PT0.4S", "answer_wait": "PT2S"} | (deliver or {})
        self.folder = folder
        self.settings = Settings.model_validate(
            {"node": {"home": folder / "home"}, "messages": {"ris": receiver}, "deliver": rules}
        )
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.book = OrderBook(self.settings.order_book)
        for order in orders:
            self.book.keep(order)
        self.patients = PatientBook(self.book)
        self.worklist = Worklist(self.settings.node.home)
        self.teller = Teller("ris", self.settings, self.ledger, self.book, self.patients, self.worklist)

    def add(self, number=0, **changes):
        """A job that a worker has claimed."""
        add_job(self.ledger, id=f"{number:032x}", study_uid=f"{STUDY}.{number}", deliver=(), tell=("ris",), **changes)
        return self.ledger.claim_job(f"{number:032x}", "w", time.time() + 60, time.time())

    def encode(self, job, report=None, to=State.ENCODED):
        """Its report lies in the outbox."""
        objects = put_objects(self.settings.outbox, job.id, [report or make_report(job_id=job.id)])
        return self.ledger.move_job(job, to, time.time(), "encode", objects=objects)

    def finish(self, number=0, report=None):
        """A CONFIRMED job."""
        job = self.encode(self.add(number), report)
        settle_jobs(self.ledger)
        assert self.ledger.get_job(job.id).state == State.CONFIRMED
        return self.ledger.get_job(job.id)

    def refuse(self, number=0):
        """A job that FAILED with the statement that the algorithm did not run."""
        job = self.add(number)
        return self.encode(job, make_refused(job.id), State.FAILED)

    def message(self, subject=Subject.RESULT, job_id=JOB.id):
        return next((one for one in self.ledger.find_messages(job_id) if one.subject == subject), None)

    def history(self, job_id=JOB.id):
        return [event.text for event in self.ledger.find_history(job_id) if event.station == "tell"]

    @contextmanager
    def running(self):
        stop = Event()
        thread = Thread(target=self.teller.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def run_until(self, state, subject=Subject.RESULT, job_id=JOB.id):
        with self.running():
            assert wait_until(lambda: self._is(state, subject, job_id)), self.message(subject, job_id)

    def _is(self, state, subject, job_id):
        message = self.message(subject, job_id)
        return message is not None and message.state == MessageState(state)


class Ris:
    """The server of the hl7 library on a thread. answer: code of the acknowledgment by message, None for silence."""

    def __init__(self, answer=lambda _: "AA", port=0, tls=None):
        self.messages, self._answer, self._tls = [], answer, tls
        self._loop, self._wanted, ready = asyncio.new_event_loop(), port, Event()
        self._thread = Thread(target=self._run, args=(ready,))
        self._thread.start()
        ready.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, ready):
        async def start():
            return await mllp.start_hl7_server(
                self._serve, "127.0.0.1", self._wanted, encoding="utf-8", limit=1 << 20, ssl=self._tls
            )

        server = self._loop.run_until_complete(start())
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                message = await reader.readmessage()
                self.messages.append(message)
                code = self._answer(message)
                if code is not None:
                    writer.writemessage(message.create_ack(code))
                    await writer.drain()
        except (EOFError, OSError):
            writer.close()

    @property
    def ids(self):
        return [str(message.segment("MSH")[10]) for message in self.messages]


@contextmanager
def raw_receiver(serve):
    """A socket that hands each connection to serve(connection, number); yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = Event()

        def accept():
            number = 0
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(20)
                    with suppress(OSError):
                        serve(connection, number)
                number += 1

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopped.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def read_raw(connection):
    """One message from a connection; b"" at its end."""
    block = b""
    while not block.endswith(b"\x1c\r"):
        piece = connection.recv(4096)
        if not piece:
            return b""
        block += piece
    return block[1:-2]


def acknowledge(text, code="AA"):
    """The bytes of an acknowledgment, framed."""
    return b"\x0b" + str(hl7.parse(text.decode()).create_ack(code)).encode() + b"\x1c\r"


class Ehr:
    """A FHIR server that keeps what it has no identifier of yet, and every version of what is PUT. statuses: what it
    answers, one after the other, then 200; None: it does what it is told and says nothing."""

    def __init__(self, statuses=()):
        self.bundles, self.resources, self.headers, self.statuses = [], {}, [], list(statuses)
        self.versions = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bundles.append(body)
                outer.headers.append(dict(self.headers))
                status = outer.statuses.pop(0) if outer.statuses else 200
                answer = {"resourceType": "OperationOutcome", "issue": []}
                if status in {200, None}:
                    answer = {"resourceType": "Bundle", "type": "transaction-response"}
                    for entry in body["entry"]:
                        outer.keep(entry["request"], entry["resource"])
                else:
                    answer["issue"] = [{"code": "business-rule", "diagnostics": "Doe^John"}, {"code": "Doe^John"}]
                if status is None:
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/fhir"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def keep(self, request, resource):
        if request["method"] == "PUT":
            assert request["url"] == f"{resource['resourceType']}/{resource['id']}"
            self.versions.setdefault(request["url"], []).append(resource)
        else:
            self.resources.setdefault(request["ifNoneExist"], []).append(resource)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


__all__ = ["CRITICAL", "STUDY", "DeliveryState", "Ehr", "House", "Ris", "acknowledge", "raw_receiver", "read_raw"]
