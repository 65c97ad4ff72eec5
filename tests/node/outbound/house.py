"""The outbound side of a node in a folder, with encoded jobs, and peers that behave as a test wants them to."""

import socket
import time
from contextlib import contextmanager
from threading import Event, Thread

from pynetdicom import AE, evt
from sqlalchemy import update

from node.config import Settings
from node.ledger import SqlLedger
from node.ledger.tables import result_object
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.confirm import settle_jobs
from node.outbound.deliver import Deliverer
from node.outbound.outbox import put_objects
from tests.jobs import JOB, add_job
from tests.ports import free_port
from tests.series import make_series
from tests.waiting import wait_until

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


class House:
    """peers: name -> its section; every job of `slices` objects goes to all of them."""

    def __init__(self, folder, peers, slices=2, jobs=1, **deliver):
        self.settings = Settings.model_validate(
            {
                "node": {"home": folder / "home", "listen": f"127.0.0.1:{free_port()}"},
                "peers": peers,
                "deliver": {"retry_first": "PT0.2S", "answer_wait": "PT1S"} | deliver,
            }
        )
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.deliverers = {name: Deliverer(name, self.settings, self.ledger) for name in peers}
        self.ids = [self.add_job(number, slices) for number in range(jobs)]

    def add_job(self, number, slices):
        job_id, study = f"{number:032x}", f"1.2.3.{number}"
        add_job(self.ledger, id=job_id, study_uid=study, deliver=tuple(self.settings.peers))
        job = self.ledger.claim_job(job_id, "w", time.time() + 60, time.time())
        objects = put_objects(self.settings.outbox, job.id, make_series((slices, 4, 5), StudyInstanceUID=study))
        self.ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
        return job_id

    def state(self, job_id=JOB.id):
        settle_jobs(self.ledger)
        return self.ledger.get_job(job_id).state

    def deliveries(self, **asked):
        return self.ledger.find_deliveries(**asked)

    def circuit(self, name="pacs"):
        return self.ledger.find_circuits()[name]

    @contextmanager
    def running(self):
        """Every deliverer on its thread, as `wetread keep` has them."""
        stop = Event()
        threads = [Thread(target=one.run, args=(stop,)) for one in self.deliverers.values()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def run_until(self, truth, seconds=15.0):
        with self.running():
            assert wait_until(lambda: settle_jobs(self.ledger) or truth(), seconds), self.deliveries()


def lose_one(house, is_known):
    """The destination took the first object, whose file is gone since. is_known: the ledger knows its series; an older
    version did not write it down."""
    first = house.deliveries()[0]
    assert house.ledger.move_delivery(first, DeliveryState.SENT, "0x0000", time.time())
    (house.settings.outbox / first.object.path).unlink()
    if not is_known:
        with house.ledger._engine.begin() as db:
            db.execute(update(result_object).values(series_uid=""))


def peer(port, **more):
    return {"ae_title": "PACS", "address": f"127.0.0.1:{port}"} | more


@contextmanager
def serving(classes=(CT,), port=0, handlers=(), title="PACS"):
    """A real SCP of `classes`; yields its port."""
    entity = AE(title)
    entity.maximum_associations = 20
    for sop_class in (VERIFICATION, *classes):
        entity.add_supported_context(sop_class)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=list(handlers))
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


@contextmanager
def deaf():
    """A TCP port that takes connections and never says a word; yields it and the list of its connections."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        met = []

        def accept():
            while True:
                try:
                    met.append(server.accept()[0])
                except OSError:
                    return

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], met
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in met:
                connection.close()


def on_store(answer):
    """Handlers that answer C-STORE with what `answer` says of the SOP Instance UID."""
    return [(evt.EVT_C_STORE, lambda event: answer(str(event.request.AffectedSOPInstanceUID)))]
