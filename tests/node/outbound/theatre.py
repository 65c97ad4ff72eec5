"""A node that performs for a manager: its ward, and who takes, tells and listens, moved by hand."""

import time
from threading import Event, Thread

from node import wiring
from node.config import Settings
from node.outbound.performing.channel import Channel
from node.outbound.performing.dimse import open_dimse
from node.outbound.performing.performer import Performer
from node.outbound.performing.web import open_web
from node.sections import PerformBy
from tests.node.worklist.ward import ROUTE, Ward
from tests.waiting import wait_until


class Theatre(Ward):
    """manager: one of tests.managers. rules: of `perform`."""

    def __init__(self, home, manager, port, title="WETREAD", **rules):
        peers = {
            "pacs": {"ae_title": "MAINPACS", "address": "127.0.0.1:1"},
            "manager": manager.peer | {"perform": {"how": "poll", "every": "PT0.2S"} | rules},
        }
        node = {"home": home, "listen": f"127.0.0.1:{port}", "ae_title": title}
        deliver = {"retry_first": "PT0.1S", "retry_longest": "PT0.2S", "answer_wait": "PT10S"}
        sections = {"node": node, "peers": peers, "routes": [ROUTE], "deliver": deliver, "listen": {"min_free_mb": 0}}
        self.settings = Settings.model_validate(sections)
        self._stop, self._threads, self._listener = Event(), [], None
        self.open()

    def open(self):
        super().open()
        peer = self.settings.peers["manager"]
        wire = open_web if peer.performed_by == PerformBy.WEB else open_dimse

        def open_board():
            return wire("manager", self.settings)

        self.performer = Performer("manager", self.settings, self.ledger, self.worklist, open_board)

    def listen(self):
        """Events come, by the wire that the manager tells by."""
        if self.settings.peers["manager"].reports:
            self._listener = wiring.make_listener(self.settings)
            self._listener.start()
            return
        channel = Channel("manager", self.settings, self.worklist)
        self._threads.append(Thread(target=channel.run, args=(self._stop,), daemon=True))
        self._threads[-1].start()

    def close(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        if self._listener is not None:
            self._listener.stop()
        super().close()

    def tick(self):
        self.performer.tick(time.time())
        self.mirror.tick(time.time())

    def until(self, truth, seconds=30):
        """Rounds until it is true."""

        def look():
            self.tick()
            return truth()

        assert wait_until(look, seconds)
