"""The composition root: settings -> ports -> stations. The only place that chooses implementations.

Each role imports its own stations: a listener needs neither the queue nor the web server in its memory.
"""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

from sqlalchemy.exc import DatabaseError

from node.config import Settings
from node.errors import ConfigError
from node.inbound.spool import Spool
from node.ledger import Ledger, SqlLedger
from node.ledger.integrity import check_ledger
from node.premises import prepare_home
from node.sections import CountBy, PerformBy, PerformHow, Retrieve

if TYPE_CHECKING:
    from pydicom import Dataset

    from node.inbound.collect import Collector
    from node.inbound.gather import Gatherer
    from node.inbound.listener import Listener
    from node.inbound.orders.door import OrderDoor
    from node.inbound.submit import Submitter
    from node.model.archive import Archive
    from node.outbound.telling.teller import Teller
    from node.worklist import Worklist

Run = Callable[[Event], None]
"""Works until the event is set."""


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of this node. Raises DamagedLedger, with what to do, when its file cannot be read for that, and
    ConfigError when the home cannot be written."""
    prepare_home(settings)
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
    from node.worklist import Worklist

    ledger = open_ledger(settings)
    spool = open_spool(settings)
    is_needed = any(peer.workitems or peer.reports for peer in settings.peers.values())
    worklist = Worklist(settings.node.home) if is_needed else None

    def on_commit(report: "Dataset") -> bool:
        return settle_report(ledger, report, settings.deliver)

    return Listener(settings, spool, ledger, on_commit, number, worklist)


def make_gatherer(settings: Settings, ledger: Ledger, spool: Spool) -> "Gatherer":
    """Who fetches what jobs wait for."""
    from node.inbound.gather import Gatherer

    return Gatherer(settings, ledger, spool, _find_archives(settings))


def make_submitter(settings: Settings, ledger: Ledger, spool: Spool) -> "Submitter":
    """Who fetches studies that are named by their uid."""
    from node.inbound.submit import Submitter

    return Submitter(settings, ledger, spool, _find_archives(settings))


def make_collector(settings: Settings, ledger: Ledger, spool: Spool, worklist: "Worklist") -> "Collector":
    """Who fetches what workitems read."""
    from node.inbound.collect import Collector
    from node.outbound.wado import WebArchive

    return Collector(
        settings, ledger, spool, worklist, _find_archives(settings), lambda name: WebArchive(name, settings)
    )


def _find_archives(settings: Settings) -> "Callable[[str], Archive]":
    from node.outbound.retrieve import DimseArchive
    from node.outbound.wado import WebArchive

    def open_archive(name: str) -> "Archive":
        by_web = settings.peers[name].retrieve == Retrieve.WADO
        return WebArchive(name, settings) if by_web else DimseArchive(name, settings)

    return open_archive


def make_order_door(settings: Settings) -> "OrderDoor":
    """The door for orders by HL7. Raises ConfigError when hl7.listen is not set."""
    from node.inbound.orders.desk import OrderDesk
    from node.inbound.orders.door import OrderDoor
    from node.orders.book import OrderBook
    from node.orders.patients import PatientBook

    if not settings.hl7.listen:
        raise ConfigError("hl7.listen is not set: there is no door for orders")
    book = OrderBook(settings.order_book)
    return OrderDoor(settings, OrderDesk(settings, book, PatientBook(book)))


def make_tellers(settings: Settings, ledger: Ledger, worklist: "Worklist") -> "list[Teller]":
    """Who tells each receiver of results."""
    from node.orders.book import OrderBook
    from node.orders.patients import PatientBook
    from node.outbound.telling.teller import Teller

    if not settings.messages:
        return []
    book = OrderBook(settings.order_book)
    patients = PatientBook(book)
    return [Teller(name, settings, ledger, book, patients, worklist) for name in sorted(settings.messages)]


def run_keeping(settings: Settings, stop: Event) -> None:
    """Housekeeping, retention, the worklist, orders, and whoever serves a peer, a receiver of messages or a webhook,
    each on a thread of its own, until `stop` is set."""
    from node.clock import Clock
    from node.housekeeping import Housekeeper
    from node.inbound.enqueue import Enqueuer
    from node.inbound.urgency import OrderFollower
    from node.outbound.webhook import WebhookNotifier
    from node.queue import Doorbell
    from node.retention import Retention, find_free_gb
    from node.worklist import Worklist
    from node.worklist.mirror import Mirror

    ledger, spool = open_ledger(settings), open_spool(settings)
    enqueuer = Enqueuer(settings, ledger, Doorbell(settings.queue.url))
    worklist = Worklist(settings.node.home)
    clock = Clock(ledger, settings.work.lease.total_seconds(), settings.node.home / "clock")
    clock.tell(worklist.move_claims)
    runs = [
        Housekeeper(settings, ledger, enqueuer, spool, clock).run,
        clock.run,
        Retention(settings, ledger, spool, lambda: find_free_gb(settings.spool)).run,
        Mirror(settings, ledger, worklist).run,
        OrderFollower(settings, ledger).run,
        make_collector(settings, ledger, spool, worklist).run,
        *_serve_peers(settings, ledger, worklist),
        *(teller.run for teller in make_tellers(settings, ledger, worklist)),
        *(WebhookNotifier(name, settings, ledger).run for name in sorted(settings.webhooks)),
    ]
    if any(route.gather for route in settings.routes) or ledger.find_waiting():
        runs.append(make_gatherer(settings, ledger, spool).run)
    if any(peer.query for peer in settings.peers.values()):
        runs.append(make_submitter(settings, ledger, spool).run)
    threads = [Thread(target=run, args=(stop,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve_peers(settings: Settings, ledger: Ledger, worklist: "Worklist") -> Iterator[Run]:
    """For each peer who delivers to it, and who reports, counts, asks and tells there as its configuration says."""
    from node.outbound.count import Counter
    from node.outbound.deliver import Deliverer
    from node.outbound.notify import Notifier
    from node.outbound.report import Reporter
    from node.outbound.tell import EventTeller
    from node.outbound.worklist import Inquirer

    for name, peer in sorted(settings.peers.items()):
        yield Deliverer(name, settings, ledger).run
        if peer.address:
            yield Reporter(name, settings, ledger).run
        if peer.count_by != CountBy.NONE:
            yield Counter(name, settings, ledger).run
        if peer.availability:
            yield Notifier(name, settings, ledger).run
        if peer.worklist:
            yield Inquirer(name, settings, ledger).run
        if peer.workitems:
            yield EventTeller(name, settings, ledger, worklist).run
        if peer.perform.how != PerformHow.NONE:
            yield from _perform(name, settings, ledger, worklist)


def _perform(name: str, settings: Settings, ledger: Ledger, worklist: "Worklist") -> Iterator[Run]:
    """Who does what the peer `name` has on its worklist, and who listens to it where it tells by WebSocket."""
    from node.outbound.performing.channel import Channel
    from node.outbound.performing.dimse import open_dimse
    from node.outbound.performing.performer import Performer
    from node.outbound.performing.web import open_web

    peer = settings.peers[name]
    by_web = peer.performed_by == PerformBy.WEB
    open_board = partial(open_web if by_web else open_dimse, name, settings)
    yield Performer(name, settings, ledger, worklist, open_board).run
    if by_web and peer.perform.how == PerformHow.SUBSCRIBE:
        yield Channel(name, settings, worklist).run


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
