"""Managers of workitems, to perform for: two are a second node of ours, two know nothing of our code, written from
PS3.4 annex CC and PS3.18 chapter 11."""

import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, RLock, Thread
from urllib.parse import parse_qsl, unquote, urlsplit

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepWatch,
)
from websockets.sync.server import serve

from node import wiring
from node.config import Settings
from node.ledger import SqlLedger
from node.outbound.tell import EventTeller
from node.worklist import Worklist
from tests.node.web.service import Service
from tests.ports import free_port
from tests.workitems import make_code, make_workitem

FINAL = ("COMPLETED", "CANCELED")
PERFORMER = "WETREAD"


def make_task(**changes):
    """A workitem that names one of our pipelines."""
    code = make_code("lung-seg", "99WETREAD", "lungs")
    return make_workitem(**{"ScheduledWorkitemCodeSequence": [code], **changes})


class OurNode:
    """The part that both wires of a second node share."""

    def create(self, uid, **changes):
        self.worklist.create(make_task(**changes), time.time(), uid)

    def read(self, uid):
        return Dataset.from_json(self.worklist.get(uid).model)

    def ask_to_cancel(self, uid, reason="no longer wanted"):
        request = Dataset()
        request.ReasonForCancellation = reason
        self.worklist.request_cancel(uid, request, "BOSS", time.time())


class OurWeb(OurNode):
    """A second node, by UPS-RS."""

    def __init__(self, folder):
        self._service = Service(folder / "manager").__enter__()
        self.worklist = Worklist(self._service.settings.node.home)
        self.peer = {"dicomweb": self._service.url + "/dicom-web"}

    def close(self):
        self._service.__exit__()
        self.worklist.close()


class OurDoor(OurNode):
    """A second node, by DIMSE, with the thread that tells."""

    def __init__(self, folder, port=0):
        self._port, door = port or free_port(), free_port()
        peers = {"us": {"ae_title": PERFORMER, "address": f"127.0.0.1:{self._port}", "workitems": True}}
        node = {"home": folder / "manager", "ae_title": "BOSS", "listen": f"127.0.0.1:{door}"}
        deliver = {"retry_first": "PT0.1S", "retry_longest": "PT0.2S"}
        self._settings = Settings.model_validate(
            {"node": node, "peers": peers, "routes": [], "listen": {"min_free_mb": 0}, "deliver": deliver}
        )
        self.worklist = Worklist(self._settings.node.home)
        self._ledger = SqlLedger(self._settings.ledger_url)
        self._listener = wiring.make_listener(self._settings)
        self._listener.start()
        self._stop = Event()
        teller = EventTeller("us", self._settings, self._ledger, self.worklist)
        self._thread = Thread(target=teller.run, args=(self._stop,), daemon=True)
        self._thread.start()
        self.peer = {"ae_title": "BOSS", "address": f"127.0.0.1:{door}"}

    def close(self):
        self._stop.set()
        self._thread.join(20)
        self._listener.stop()
        self._ledger.close()
        self.worklist.close()


class List:
    """Workitems as PS3.4 Table CC.1.1-2 has them; each verb answers a DIMSE status. events: called with each."""

    def __init__(self):
        self.items, self.locks, self.events = {}, {}, []
        self.mutex = RLock()
        self.log = []
        self.claims = {}

    def create(self, uid, **changes):
        item = make_task(**changes)
        item.SOPClassUID, item.SOPInstanceUID = UnifiedProcedureStepPush, uid
        del item.TransactionUID
        with self.mutex:
            self.items[uid], self.locks[uid] = item, ""
        self.tell(uid, 1, item, "ProcedureStepState", "InputReadinessState")

    def read(self, uid):
        return self.items[uid]

    def ask_to_cancel(self, uid, reason="no longer wanted"):
        information = Dataset()
        information.RequestingAE, information.ReasonForCancellation = "BOSS", reason
        self.tell(uid, 2, information, "RequestingAE", "ReasonForCancellation")

    def tell(self, uid, kind, source, *keywords):
        information = Dataset()
        for keyword in keywords:
            setattr(information, keyword, source.get(keyword))
        for event in list(self.events):
            event(uid, kind, information)

    def set(self, uid, changes, lock):
        with self.mutex:
            self.log.append(("set", uid, lock))
            if uid not in self.items:
                return 0xC307
            item = self.items[uid]
            if item.ProcedureStepState in FINAL:
                return 0xC300
            if lock != self.locks[uid]:
                return 0xC301 if item.ProcedureStepState == "IN PROGRESS" else 0xC310
            item.update({element.tag: element for element in changes if element.keyword != "TransactionUID"})
            return 0x0000

    def change(self, uid, state, lock):
        with self.mutex:
            self.log.append((state, uid, lock))
            if uid not in self.items:
                return 0xC307
            item, held = self.items[uid], self.locks[uid]
            now = item.ProcedureStepState
            if state == "IN PROGRESS":
                if not lock or held not in ("", lock):
                    return 0xC301
                if now != "SCHEDULED":
                    return 0xC302 if now == "IN PROGRESS" else 0xC300
                self.claims.setdefault(uid, []).append(lock)
            else:
                if lock != held or not lock:
                    return 0xC301
                if now in FINAL:
                    return (0xB306 if state == "COMPLETED" else 0xB304) if now == state else 0xC300
                if now != "IN PROGRESS":
                    return 0xC310
                if state == "COMPLETED" and not self._may_end(item):
                    return 0xC304
            item.ProcedureStepState, self.locks[uid] = state, lock
        self.tell(uid, 1, item, "ProcedureStepState", "InputReadinessState")
        return 0x0000

    def _may_end(self, item):
        performed = item.get("UnifiedProcedureStepPerformedProcedureSequence") or []
        wanted = ("PerformedStationNameCodeSequence", "PerformedProcedureStepStartDateTime")
        wanted += ("PerformedProcedureStepEndDateTime", "PerformedWorkitemCodeSequence")
        return bool(performed) and all(one.get(k) for one in performed for k in wanted)

    def find(self, **keys):
        with self.mutex:
            items = list(self.items.values())
        return [one for one in items if all(str(one.get(key, "")) == value for key, value in keys.items() if value)]


class PlainWeb(List):
    """UPS-RS by plain HTTP. Its WebSocket is on another port and path than anybody would build."""

    def __init__(self, folder):
        super().__init__()
        self.subscribed, self.connected, self.requests, self.authorized = [], [], [], []
        self._lines = []
        self.filters = True
        board = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                """Says nothing."""

            def handle_all(self):
                length = int(self.headers.get("Content-Length") or 0)
                said = json.loads(self.rfile.read(length)) if length else [{}]
                board.requests.append((self.command, self.path, dict(self.headers)))
                status, headers, models = board.answer(self.command, self.path, Dataset.from_json(said[0]))
                body = json.dumps(models).encode() if models else b""
                self.send_response(status)
                for name, value in {**headers, "Content-Length": len(body)}.items():
                    self.send_header(name, str(value))
                if body:
                    self.send_header("Content-Type", "application/dicom+json")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = handle_all  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self._sockets = serve(self._talk, "127.0.0.1", 0)
        Thread(target=self._sockets.serve_forever, daemon=True).start()
        self.channel = f"ws://127.0.0.1:{self._sockets.socket.getsockname()[1]}/elsewhere/x7?for=you"
        self.peer = {"dicomweb": f"http://127.0.0.1:{self._http.server_address[1]}/ups"}

    def _talk(self, socket):
        self.connected.append(socket.request.path)
        self.authorized.append(socket.request.headers.get("Authorization"))
        self._lines.append(socket)

        def send(uid, kind, information):
            head = {"00001000": {"vr": "UI", "Value": [uid]}, "00001002": {"vr": "US", "Value": [kind]}}
            socket.send(json.dumps(head | information.to_json_dict()))

        self.events.append(send)
        try:
            for _ in socket:
                """Nothing is expected."""
        finally:
            self.events.remove(send)

    def drop(self):
        """The line of events breaks."""
        self._lines.pop().socket.close()

    def answer(self, method, path, body):
        place = urlsplit(path)
        parts = [unquote(part) for part in place.path.strip("/").split("/")]
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        if parts[:2] != ["ups", "workitems"]:
            return 404, {}, []
        if len(parts) == 2:
            found = self.find(
                ProcedureStepState=query.get("ProcedureStepState", ""), WorklistLabel=query.get("WorklistLabel", "")
            )
            start = int(query.get("offset", 0))
            found = found[start : start + int(query.get("limit", 100))]
            return (200, {}, [one.to_json_dict() for one in found]) if found else (204, {}, [])
        uid, rest = parts[2], parts[3:]
        if rest[:1] == ["subscribers"]:
            if uid.endswith("34.5.1") and not self.filters:
                text = "299 ups: Filtered Worklist Subscriptions are not supported."
                return 403, {"Warning": text}, []
            self.subscribed.append((uid, rest[1], query.get("filter", "")))
            return 201, {"Content-Location": self.channel} if self.channel else {}, []
        if uid not in self.items:
            return 404, {}, []
        if method == "GET":
            return 200, {}, [self.items[uid].to_json_dict()]
        if method == "PUT":
            status = self.change(uid, body.ProcedureStepState, str(body.get("TransactionUID") or ""))
        else:
            status = self.set(uid, body, place.query)
        http = {0xC301: 400, 0xC300: 409 if method == "PUT" else 400}.get(status, 409 if status >= 0xC000 else 200)
        return http, {}, []

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._sockets.shutdown()


class PlainDoor(List):
    """UPS Pull, Watch and Event by pynetdicom."""

    def __init__(self, folder, port=0):
        super().__init__()
        self._told, self.subscribed = port, []
        entity = AE("BOSS")
        entity.add_supported_context(UnifiedProcedureStepPull)
        entity.add_supported_context(UnifiedProcedureStepWatch)
        handlers = [
            (evt.EVT_C_FIND, self._answer_find),
            (evt.EVT_N_GET, self._answer_get),
            (evt.EVT_N_SET, self._answer_set),
            (evt.EVT_N_ACTION, self._answer_action),
        ]
        door = free_port()
        self._server = entity.start_server(("127.0.0.1", door), block=False, evt_handlers=handlers)
        self.peer = {"ae_title": "BOSS", "address": f"127.0.0.1:{door}"}

    def _answer_find(self, event):
        keys = event.identifier
        for item in self.find(
            ProcedureStepState=keys.ProcedureStepState, WorklistLabel=str(keys.get("WorklistLabel") or "")
        ):
            answer = Dataset()
            answer.update({e.tag: item[e.tag] for e in keys if e.tag in item})
            yield 0xFF00, answer

    def _answer_get(self, event):
        uid = str(event.request.RequestedSOPInstanceUID)
        return (0x0000, self.items[uid]) if uid in self.items else (0xC307, None)

    def _answer_set(self, event):
        changes = event.modification_list
        uid = str(event.request.RequestedSOPInstanceUID)
        return self.set(uid, changes, str(changes.get("TransactionUID") or "")), None

    def _answer_action(self, event):
        uid, information = str(event.request.RequestedSOPInstanceUID), event.action_information
        if event.action_type == 3:
            self.subscribed.append((uid, information.ReceivingAE, str(information.get("WorklistLabel") or "")))
            if self._tell_us not in self.events:
                self.events.append(self._tell_us)
            return 0x0000, None
        return self.change(uid, information.ProcedureStepState, str(information.get("TransactionUID") or "")), None

    def _tell_us(self, uid, kind, information):
        Thread(target=self._report, args=(uid, kind, information), daemon=True).start()

    def _report(self, uid, kind, information):
        entity = AE("BOSS")
        entity.add_requested_context(UnifiedProcedureStepEvent)
        role = build_role(UnifiedProcedureStepEvent, scp_role=True)
        line = entity.associate("127.0.0.1", self._told, ae_title=PERFORMER, ext_neg=[role])
        if not line.is_established:  # the node has gone
            return
        answer, _ = line.send_n_event_report(
            information, kind, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepEvent
        )
        self.log.append(("event", uid, int(answer.Status)))
        line.release()

    def close(self):
        self._server.shutdown()


@contextmanager
def managing(kind, folder, port=0):
    """One of the four, until it is closed."""
    manager = kind(folder, port) if kind in (OurDoor, PlainDoor) else kind(folder)
    try:
        yield manager
    finally:
        manager.close()
