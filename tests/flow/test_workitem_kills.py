"""kill -9 of the web role while performers claim and finish workitems by UPS-RS: no lock and no event is lost."""

import http.client
import json
import os
import random
import signal
import threading
import time

import pytest
from pydicom import Dataset

from node.model.workitem import GLOBAL, Report
from node.worklist import Worklist
from tests.flow.nursery import find_nursery
from tests.ports import free_port
from tests.waiting import wait_until
from tests.workitems import make_performed, make_workitem

JSON = {"Content-Type": "application/dicom+json"}
BROKEN = (OSError, http.client.HTTPException)
KILLS, PERFORMERS, EACH = 5, 3, 8
ANSWERS = PERFORMERS * EACH * 4
FOREIGN = "2.25.999"


class Web:
    """The web role alone, in a process that is killed and started again."""

    def __init__(self, folder):
        self.port, self.home = free_port(), folder / "home"
        self.config, self.log = folder / "wetread.toml", folder / "web.log"
        self.config.write_text(f'[node]\nhome = "{self.home}"\n[web]\nlisten = "127.0.0.1:{self.port}"\n')
        self.process = None

    def start(self):
        self.process = find_nursery().serve(self.config, self.log)
        assert wait_until(self._is_there, 60), self.log.read_text()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.process.wait(30) == -signal.SIGKILL

    def _is_there(self):
        try:
            return send(self, "GET", "/workitems") in {200, 204}
        except BROKEN:
            return False


class Performer(threading.Thread):
    """Creates, claims, reports on and finishes workitems one by one. A request without an answer is made again, and may
    then be told that it was done. locks: uid -> Transaction UID that a claim was answered with."""

    def __init__(self, web, number, news):
        super().__init__(daemon=True)
        self.uids = [f"1.2.826.{number}.{at}" for at in range(1, EACH + 1)]
        self.locks, self.answered, self.surprises = {}, 0, []
        self._web, self._number, self._news = web, number, news

    def run(self):
        for uid in self.uids:
            lock = f"2.25.{self._number}{uid.rpartition('.')[2]}"
            self._ask("POST", f"/workitems?{uid}", make_workitem(), {201}, {409})
            self._ask("PUT", f"/workitems/{uid}/state", make_state("IN PROGRESS", lock), {200}, {409})
            self.locks[uid] = lock
            self._ask("POST", f"/workitems/{uid}?{lock}", make_performed(), {200}, set())
            self._ask("PUT", f"/workitems/{uid}/state", make_state("COMPLETED", lock), {200}, set())

    def _ask(self, method, path, body, right, done_before):
        broke = False
        while True:
            try:
                status = send(self._web, method, path, body)
                break
            except BROKEN:
                broke = True
                time.sleep(0.01)
        if status not in right and not (broke and status in done_before):
            self.surprises.append((method, path, status))
        with self._news:
            self.answered += 1
            self._news.notify_all()


def make_state(state, lock):
    body = Dataset()
    body.ProcedureStepState, body.TransactionUID = state, lock
    return body


def send(web, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    try:
        connection.request(method, f"/dicom-web{path}", json.dumps([body.to_json_dict()]) if body else None, JSON)
        return connection.getresponse().status
    finally:
        connection.close()


def test_locks_and_events_outlive_kills_in_the_midst_of_state_transitions(tmp_path):
    chance, news = random.Random(20261123), threading.Condition()
    web = Web(tmp_path)
    web.start()
    assert send(web, "POST", f"/workitems/{GLOBAL}/subscribers/WATCHER") == 201
    performers = [Performer(web, number, news) for number in range(1, PERFORMERS + 1)]
    for one in performers:
        one.start()
    for moment in sorted(chance.sample(range(4, ANSWERS - 8), KILLS)):
        with news:
            assert news.wait_for(lambda at=moment: sum(one.answered for one in performers) >= at, 60)
        time.sleep(chance.uniform(0, 0.01))
        web.kill()
        claimed = {uid for one in performers for uid in one.locks}
        web.start()
        for uid in claimed:  # whoever holds it still does, or has ended it: nobody else gets it
            assert send(web, "PUT", f"/workitems/{uid}/state", make_state("IN PROGRESS", FOREIGN)) in {400, 409}
    for one in performers:
        one.join(60)
        assert not one.is_alive()
        assert one.surprises == []
    web.kill()
    worklist = Worklist(web.home)
    told = {uid: [] for one in performers for uid in one.uids}
    for notice in worklist.find_notices("WATCHER", limit=10_000):
        if notice.report == Report.STATE:
            told[notice.uid].append(json.loads(notice.model)["00741000"]["Value"][0])
    worklist.close()
    assert {tuple(states) for states in told.values()} == {("SCHEDULED", "IN PROGRESS", "COMPLETED")}


@pytest.fixture(autouse=True)
def nobody_is_left(monkeypatch):
    """What a test that failed leaves runs on no longer."""
    born, real = [], Web.start

    def start(web):
        real(web)
        born.append(web)

    monkeypatch.setattr(Web, "start", start)
    yield
    for web in born:
        if web.process.poll() is None:
            web.kill()
