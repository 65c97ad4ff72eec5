"""A peer is asked how many instances of a study it has: by C-FIND and by QIDO-RS, whatever it leaves out."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, evt

from node.config import Settings
from node.dicom.uids import STUDY_ROOT_FIND, VERIFICATION
from node.ledger import SqlLedger
from node.model.batch import Batch, Ended, Opened
from node.model.expectation import Count, Kind, Question
from node.outbound import count_find
from node.outbound.count import Counter
from node.outbound.count_qido import count_by_qido
from node.outbound.store import associate
from node.sections import WebAccess
from node.security.web_client import make_web_client
from tests.jobs import make_instance

STUDY = "1.2.3"
SERIES = {f"{STUDY}.1": [f"{STUDY}.1.{n}" for n in range(1, 4)], f"{STUDY}.2": [f"{STUDY}.2.1", "2.25.7"]}
MODALITIES = {f"{STUDY}.1": "CT", f"{STUDY}.2": "SR"}
NOBODY = frozenset()
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"


class Archive:
    """A query SCP that has SERIES. counts: it gives numbers; status: what it ends with; pause: seconds an answer."""

    def __init__(self, counts=True, status=0x0000, pause=0.0, classes=(STUDY_ROOT_FIND, VERIFICATION)):
        self.counts, self.status, self.pause = counts, status, pause
        self.levels = []
        entity = AE("PACS")
        for uid in classes:
            entity.add_supported_context(uid)
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, self.find)])
        self.address = f"127.0.0.1:{self.server.socket.getsockname()[1]}"

    def find(self, event):
        query = event.identifier
        level = query.QueryRetrieveLevel
        self.levels.append(level)
        if self.status:
            yield self.status, None
            return
        if query.StudyInstanceUID == STUDY:
            for match in getattr(self, level.lower())(query):
                time.sleep(self.pause)
                match.QueryRetrieveLevel, match.StudyInstanceUID = level, STUDY
                yield 0xFF00, match

    def study(self, _query):
        match = Dataset()
        match.NumberOfStudyRelatedInstances = 5 if self.counts else None
        yield match

    def series(self, _query):
        for uid, modality in MODALITIES.items():
            match = Dataset()
            match.SeriesInstanceUID, match.Modality = uid, modality
            match.NumberOfSeriesRelatedInstances = len(SERIES[uid]) if self.counts else None
            yield match

    def image(self, query):
        for uid in SERIES[query.SeriesInstanceUID]:
            match = Dataset()
            match.SeriesInstanceUID, match.SOPInstanceUID = query.SeriesInstanceUID, uid
            yield match

    def close(self):
        self.server.shutdown()


class Server:
    """A QIDO-RS server that has SERIES. paged: it heeds offset and limit, and gives at most two at once."""

    def __init__(self, counts=True, status=200, paged=True, body=None):
        outer = self
        self.counts, self.status, self.paged, self.body = counts, status, paged, body
        self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                place = urlsplit(self.path)
                found = outer.answer(place.path, parse_qs(place.query))
                data = json.dumps(found).encode() if outer.body is None else outer.body
                self.send_response(204 if outer.status == 200 and not found else outer.status)
                self.end_headers()
                self.wfile.write(data if found else b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.root = f"http://127.0.0.1:{self.server.server_port}/dicom-web"

    def answer(self, path, query):
        if path == "/dicom-web/studies":
            number = {"00201208": {"vr": "IS", "Value": [5]}} if self.counts else {"00201208": {"vr": "IS"}}
            return (
                [{"0020000D": {"vr": "UI", "Value": [STUDY]}} | number] if query["StudyInstanceUID"] == [STUDY] else []
            )
        at = int(query["offset"][0])
        if path == f"/dicom-web/studies/{STUDY}/series":
            rows = [{"0020000E": {"Value": [uid]}, "00080060": {"Value": [mod]}} for uid, mod in MODALITIES.items()]
            return rows[at : at + 1]
        places = {f"/dicom-web/studies/{STUDY}/series/{uid}/instances": some for uid, some in SERIES.items()}
        places[f"/dicom-web/studies/{STUDY}/instances"] = [uid for some in SERIES.values() for uid in some]
        uids = places[path]
        uids = uids[at : at + 2] if self.paged else uids
        return [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def ask(tmp_path):
    """ask(peer, study_uid) -> the expectation that one round leaves in the ledger."""
    ledgers = []

    def ask(peer, study_uid=STUDY, ours=NOBODY):
        peers = {"pacs": {"ae_title": "PACS", "send": True} | peer}
        settings = Settings.model_validate({"node": {"home": tmp_path / str(len(ledgers))}, "peers": peers})
        ledger = SqlLedger(settings.ledger_url)
        ledgers.append(ledger)
        opened, ended = Opened("a", "listen-0", "PACS", 1000.0), Ended("a", "released", 1001.0)
        ledger.record(Batch([opened], [(make_instance(1, study_uid, at=1000.5), "a")], [ended]))
        (question,) = ledger.find_questions("PACS", "pacs", time.time(), 30.0, 9)
        assert question.ours == ours
        Counter("pacs", settings, ledger).tick(time.time())
        (said,) = ledger.find_expectations()
        assert (said.kind, said.source, said.mark, said.attempts) == (Kind.COUNT, "pacs", 1001.0, 1)
        return said

    yield ask
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def start():
    started = []

    def start(kind, **how):
        started.append(kind(**how))
        return started[-1]

    yield start
    for one in started:
        one.close()


def by_find(archive):
    return {"address": archive.address, "count_by": "query"}


def by_qido(server):
    return {"address": "127.0.0.1:1", "dicomweb": server.root, "count_by": "qido"}


def test_a_count_is_one_question_where_the_peer_counts(start, ask):
    archive, server = start(Archive), start(Server)
    assert ask(by_find(archive)).number == 5
    assert archive.levels == ["STUDY"]
    assert ask(by_qido(server)).number == 5
    assert len(server.asked) == 1


def test_a_peer_that_does_not_count_is_asked_for_the_instances(start, ask):
    archive = start(Archive, counts=False)
    assert ask(by_find(archive)).number == 5
    assert archive.levels == ["STUDY", "SERIES", "IMAGE", "IMAGE"]
    assert ask(by_qido(start(Server, counts=False))).number == 5
    assert ask(by_qido(start(Server, counts=False, paged=False))).number == 5


def test_our_own_results_are_taken_off_by_their_uids(start):
    question = Question(STUDY, 1.0, 0, frozenset({"2.25.7", "2.25.8"}))
    with make_web_client(WebAccess(), 5.0) as client:
        assert count_by_qido(client, start(Server).root, question, NOBODY) == Count(4)
    host, port = start(Archive).address.split(":")
    with associate("WETREAD", (host, int(port)), "PACS", [build_context(STUDY_ROOT_FIND)]) as association:
        assert count_find.count_by_find(association, question, NOBODY) == Count(4)


def test_only_series_of_some_modalities_are_counted_where_a_peer_sends_no_others(start, ask):
    for peer in (by_find(start(Archive)), by_find(start(Archive, counts=False)), by_qido(start(Server))):
        said = ask(peer | {"count_modalities": ["CT", "MR"]})
        assert (said.number, said.series) == (3, (f"{STUDY}.1",))
    nothing = ask(by_find(start(Archive)) | {"count_modalities": ["PT"]})
    assert nothing.answer == "PeerRefused: it lists no series of count_modalities"
    assert ask(by_qido(start(Server)) | {"count_modalities": ["PT"]}).answer == nothing.answer


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"status": 0xA700}, "PeerRefused: it answers C-FIND with 0xA700"),
        ({"classes": (VERIFICATION,)}, "PeerRefused: it takes no C-FIND"),
        ({"classes": (MODALITY_WORKLIST,)}, "PeerUnreachable: PACS at"),
        ({"pause": 0.8}, "PeerUnreachable: no answer to C-FIND"),
    ],
)
def test_a_peer_that_does_not_answer_a_query_is_noted_with_its_words(start, ask, monkeypatch, how, words):
    monkeypatch.setattr(count_find, "PATIENCE", 0.5)
    said = ask(by_find(start(Archive, **how)))
    assert said.number is None
    assert said.answer.startswith(words)


def test_a_server_that_does_not_answer_is_noted_with_its_words(start, ask):
    assert ask(by_qido(start(Server, status=500))).answer == "PeerRefused: it answers QIDO-RS with HTTP 500"
    assert "no list of data sets" in ask(by_qido(start(Server, body=b"<html>"))).answer
    assert "no list of data sets" in ask(by_qido(start(Server, body=b'{"a": 1}'))).answer
    gone = start(Server)
    gone.server.server_close()
    assert ask(by_qido(gone)).answer.startswith("PeerUnreachable: no answer to QIDO-RS")


def test_a_study_that_the_peer_does_not_list_has_no_count(start, ask):
    assert ask(by_find(start(Archive)), "1.2.4").answer == "PeerRefused: it does not list the study"
    assert ask(by_qido(start(Server)), "1.2.4").answer == "PeerRefused: it does not list the study"


def test_a_count_is_asked_again_with_growing_pauses_until_something_changes(start, tmp_path):
    archive = start(Archive)
    peers = {"pacs": {"ae_title": "PACS", "send": True} | by_find(archive)}
    settings = Settings.model_validate({"node": {"home": tmp_path}, "peers": peers})
    ledger = SqlLedger(settings.ledger_url)
    counter = Counter("pacs", settings, ledger)
    opened, ended = Opened("a", "listen-0", "PACS", 1000.0), Ended("a", "released", 1001.0)
    ledger.record(Batch([opened], [(make_instance(1, STUDY, at=1000.5), "a")], [ended]))
    pauses, now = [], time.time()
    for _ in range(4):
        counter.tick(now)
        (said,) = ledger.find_expectations()
        pauses.append(round(said.next_at - said.at))
        counter.tick(said.next_at - 0.01)
        now = said.next_at
    assert pauses == [1, 2, 4, 8]
    assert len(archive.levels) == 4
    opened, ended = Opened("b", "listen-0", "PACS", 1002.0), Ended("b", "released", 1003.0)
    ledger.record(Batch([opened], [(make_instance(2, STUDY, at=1002.5), "b")], [ended]))
    counter.tick(now)
    (said,) = ledger.find_expectations()
    assert (said.mark, said.attempts, len(archive.levels)) == (1003.0, 1, 5)
    ledger.close()
