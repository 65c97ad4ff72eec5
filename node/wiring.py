"""The composition root: settings -> ports -> stations. The only place that chooses implementations.

Each role imports its own stations: a listener needs neither the queue nor the web server in its memory.
"""

import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from node.config import Settings
from node.errors import ConfigError
from node.inbound.spool import Spool
from node.ledger import Ledger, SqlLedger

if TYPE_CHECKING:
    from node.inbound.listener import Listener


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of this node."""
    return SqlLedger(settings.ledger_url)


def open_spool(settings: Settings) -> Spool:
    """The spool of this node."""
    return Spool(settings.spool, settings.listen.min_free_mb)


def make_listener(settings: Settings, number: int = 0) -> "Listener":
    """One listener process's door; number: among those that share the port."""
    from node.inbound.listener import Listener
    from node.outbound.confirm import settle_report

    ledger = open_ledger(settings)
    spool = open_spool(settings)
    return Listener(settings, spool, ledger, lambda report: settle_report(ledger, report, time.time() + 1.0), number)


def run_keeping(settings: Settings, stop: Event) -> None:
    """Housekeeping, retention, and for each peer who delivers to it and who reports to it, each on a thread of its own,
    until `stop` is set."""
    from node.housekeeping import Housekeeper
    from node.inbound.enqueue import Enqueuer
    from node.outbound.deliver import Deliverer
    from node.outbound.report import Reporter
    from node.queue import Doorbell
    from node.retention import Retention, find_free_gb

    ledger, spool = open_ledger(settings), open_spool(settings)
    enqueuer = Enqueuer(settings, ledger, Doorbell(settings.queue.url))
    housekeeper = Housekeeper(settings, ledger, enqueuer, spool)
    retention = Retention(settings, ledger, spool, lambda: find_free_gb(settings.spool))
    deliverers = [Deliverer(name, settings, ledger) for name in sorted(settings.peers)]
    reporters = [Reporter(name, settings, ledger) for name in sorted(settings.peers)]
    runs = [housekeeper.run, retention.run, *(one.run for one in deliverers), *(one.run for one in reporters)]
    threads = [Thread(target=run, args=(stop,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_web(settings: Settings, stop: Event) -> None:
    """The status page until `stop` is set."""
    import uvicorn

    from node.web.app import make_web

    host, port = settings.web.listen.rsplit(":", 1)
    application = make_web(settings, open_ledger(settings), open_spool(settings))
    server = uvicorn.Server(
        uvicorn.Config(application, host=host, port=int(port), log_config=None, log_level="warning")
    )
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not stop.wait(0.5):
        if not thread.is_alive():
            raise ConfigError(f"web.listen = {settings.web.listen!r}: the web server ended; is the address in use?")
    server.should_exit = True
    thread.join(10)
