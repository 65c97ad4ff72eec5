"""A door, a ledger and who closes studies, for tests that send images without a network."""

import time

from node.config import Settings
from node.inbound.enqueue import Enqueuer
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.model.batch import Ended, Opened
from node.model.expectation import Expectation, Kind
from node.queue import Doorbell
from tests.series import write_series

STUDY = "1.2.3.1"
ROUTES = [{"name": "head MR", "when": {"Modality": "MR"}, "pipeline": "brain-extract"}]


class Desk:
    """A door, a ledger and who closes studies, without a network. Studies are quiet after 10 s, given up after 100.
    sections: further ones of the configuration."""

    def __init__(self, folder, routes=ROUTES, peers=None, on_give_up="process", **sections):
        rules = {"quiet": "PT10S", "give_up": "PT100S", "on_give_up": on_give_up}
        data = {
            "node": {"home": folder / "home"},
            "routes": routes,
            "peers": peers or {},
            "completeness": rules,
        } | sections
        self.settings = Settings.model_validate(data)
        self.folder = folder
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.spool = Spool(self.settings.spool, 1)
        self.recorder = Recorder(self.ledger, self.spool)
        self.recorder.start()
        self.receiver = Receiver(self.spool, self.ledger, self.recorder)
        self.enqueuer = Enqueuer(self.settings, self.ledger, Doorbell("memory://"))
        self.number = 0

    def close(self):
        self.recorder.stop()
        self.spool.close()
        self.ledger.close()

    def send(self, slices, caller="PACS", how="released"):
        """One association."""
        self.number += 1
        key = str(self.number)
        self.recorder.open_association(Opened(key, "listen-0", caller, time.time()))
        for path in write_series(slices, self.folder / key):
            part = self.spool.root / "incoming" / f"{key}-{path.name}"
            part.write_bytes(path.read_bytes())
            self.receiver.admit(part, caller, key)
        if how:
            self.recorder.end_association(Ended(key, how, time.time()))
        assert self.recorder.flush()

    def judge(self, seconds=0.0):
        """The study after it was judged, `seconds` from now."""
        self.enqueuer.close_complete(time.time() + seconds)
        return self.find()

    def find(self):
        return next(study for study in self.ledger.find_studies() if study.study_uid == STUDY)

    def count(self, number, answer="", series=()):
        """What `pacs` says now, when it is asked."""
        now = time.time()
        (question,) = self.ledger.find_questions("PACS", "pacs", now, 10.0, 50)
        self.ledger.put_expectation(
            Expectation(
                STUDY, Kind.COUNT, "pacs", now, number, answer, question.mark, now + 60, question.asked + 1, series
            )
        )
