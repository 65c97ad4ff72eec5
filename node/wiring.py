"""The composition root: settings -> ports -> stations. The only place that chooses implementations."""

import time
from pathlib import Path
from threading import Event, Thread

from node.config import Settings
from node.housekeeping import Housekeeper
from node.inbound.enqueue import Enqueuer
from node.inbound.listener import Listener
from node.inbound.receive import Receiver
from node.inbound.spool import Spool
from node.ledger import Ledger, SqlLedger
from node.outbound.confirm import settle_report
from node.outbound.deliver import Deliverer
from node.queue import Doorbell


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of this node."""
    return SqlLedger(settings.ledger_url)


def open_spool(settings: Settings) -> Spool:
    """The spool of this node."""
    return Spool(Path(settings.spool))


def make_receiver(settings: Settings, ledger: Ledger) -> Receiver:
    """The door's judgment."""
    return Receiver(open_spool(settings), ledger, settings.listen.min_free_mb)


def make_listener(settings: Settings) -> Listener:
    """The listener, after the spool has been read for files that a crash left without a row."""
    ledger = open_ledger(settings)
    receiver = make_receiver(settings, ledger)
    receiver.reindex()
    return Listener(
        settings, receiver, ledger, on_commit=lambda report: settle_report(ledger, report, time.time() + 1.0)
    )


def run_keeping(settings: Settings, stop: Event) -> None:
    """Housekeeping and one deliverer per destination, each on a thread of its own, until `stop` is set."""
    ledger = open_ledger(settings)
    enqueuer = Enqueuer(settings, ledger, Doorbell(settings.queue.url))
    housekeeper = Housekeeper(settings, ledger, enqueuer, open_spool(settings))
    deliverers = [Deliverer(name, settings, ledger) for name in sorted(settings.peers)]
    stations = [housekeeper, *deliverers]
    threads = [Thread(target=station.run, args=(stop,)) for station in stations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
