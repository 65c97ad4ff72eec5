"""The composition root: settings -> ports -> stations. The only place that chooses implementations.

Each role imports its own stations: a listener needs neither the queue nor the web server in its memory.
"""

from threading import Event, Thread
from typing import TYPE_CHECKING

from sqlalchemy.exc import DatabaseError

from node.config import Settings
from node.errors import ConfigError
from node.inbound.spool import Spool
from node.ledger import Ledger, SqlLedger
from node.ledger.integrity import check_ledger
from node.sections import CountBy, Retrieve

if TYPE_CHECKING:
    from node.inbound.gather import Gatherer
    from node.inbound.listener import Listener
    from node.model.archive import Archive


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of this node. Raises DamagedLedger, with what to do, when its file cannot be read for that."""
    try:
        return SqlLedger(settings.ledger_url)
    except DatabaseError:
        check_ledger(settings.ledger_url)
        raise


def open_spool(settings: Settings) -> Spool:
    """The spool of this node."""
    return Spool(settings.spool, settings.listen.min_free_mb)


def make_listener(settings: Settings, number: int = 0) -> "Listener":
    """One listener process's door; number: among those that share the port."""
    from node.inbound.listener import Listener
    from node.outbound.confirm import settle_report

    ledger = open_ledger(settings)
    spool = open_spool(settings)
    return Listener(settings, spool, ledger, lambda report: settle_report(ledger, report, settings.deliver), number)


def make_gatherer(settings: Settings, ledger: Ledger, spool: Spool) -> "Gatherer":
    """Who fetches what jobs wait for."""
    from node.inbound.gather import Gatherer
    from node.outbound.retrieve import DimseArchive
    from node.outbound.wado import WebArchive

    def open_archive(name: str) -> "Archive":
        by_web = settings.peers[name].retrieve == Retrieve.WADO
        return WebArchive(name, settings) if by_web else DimseArchive(name, settings)

    return Gatherer(settings, ledger, spool, open_archive)


def run_keeping(settings: Settings, stop: Event) -> None:
    """Housekeeping, retention, and for each peer who delivers to it, who reports to it and who counts there, each on a
    thread of its own, until `stop` is set."""
    from node.housekeeping import Housekeeper
    from node.inbound.enqueue import Enqueuer
    from node.outbound.count import Counter
    from node.outbound.deliver import Deliverer
    from node.outbound.report import Reporter
    from node.queue import Doorbell
    from node.retention import Retention, find_free_gb

    ledger, spool = open_ledger(settings), open_spool(settings)
    enqueuer = Enqueuer(settings, ledger, Doorbell(settings.queue.url))
    housekeeper = Housekeeper(settings, ledger, enqueuer, spool)
    retention = Retention(settings, ledger, spool, lambda: find_free_gb(settings.spool))
    deliverers = [Deliverer(name, settings, ledger) for name in sorted(settings.peers)]
    reporters = [Reporter(name, settings, ledger) for name, peer in sorted(settings.peers.items()) if peer.address]
    runs = [housekeeper.run, retention.run, *(one.run for one in deliverers), *(one.run for one in reporters)]
    counted = [name for name, peer in sorted(settings.peers.items()) if peer.count_by != CountBy.NONE]
    runs += [Counter(name, settings, ledger).run for name in counted]
    if any(route.gather for route in settings.routes) or ledger.find_waiting():
        runs.append(make_gatherer(settings, ledger, spool).run)
    threads = [Thread(target=run, args=(stop,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_web(settings: Settings, stop: Event) -> None:
    """The web service until `stop` is set, and the viewer's port where one is installed."""
    import uvicorn

    from node.web.app import make_web
    from node.web.server import configure_server
    from node.web.viewer.install import find_viewer

    application = make_web(settings, open_ledger(settings), open_spool(settings))
    servers = {f"web.listen = {settings.web.listen!r}": uvicorn.Server(configure_server(settings, application))}
    if find_viewer(settings.node.home):
        second = uvicorn.Server(configure_server(settings, application, viewer=True))
        servers[f"web.viewer_port = {settings.web.viewer_port}"] = second
    threads = {place: Thread(target=server.run, daemon=True) for place, server in servers.items()}
    for thread in threads.values():
        thread.start()
    while not stop.wait(0.5):
        for place, thread in threads.items():
            if not thread.is_alive():
                raise ConfigError(f"{place}: the web server ended; is the address in use?")
    for server in servers.values():
        server.should_exit = True
    for thread in threads.values():
        thread.join(10)
