"""Images that a workitem for us reads, and that are not here, are fetched from where it says: a Retrieve AE, or an
address of WADO-RS.

In:  workitems that wait for their images.   Out: the images in the spool, and what the workitem waits for in its
progress. Only peers are asked: an AE title that we do not know, or an address on another server than a peer's
`dicomweb`, is none. What is asked for is in the ledger before the request leaves, so what comes opens no jobs of its
own. A crash asks again for what did not come.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Lock, Thread
from typing import Protocol
from urllib.parse import urlsplit

from node.config import Settings
from node.dicom.header import DAMAGE
from node.dicom.model_values import find_values
from node.errors import OutOfResources, PeerRefused, PeerUnreachable, WorkitemRefused
from node.inbound.fetch import Fetcher, is_own
from node.inbound.side_door import SideDoor
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.archive import Archive, Sink
from node.model.expectation import Expectation, Kind
from node.model.study import StudyState
from node.model.uid import derive_key
from node.model.workitem import Workitem
from node.rounds import keep_going
from node.worklist import Worklist
from node.worklist.guard import find_route, is_ours
from node.worklist.inputs import Input, read_inputs
from node.worklist.of_job import state_wait

log = logging.getLogger(__name__)

TICK = 0.5
AT_ONCE = 4
"""Workitems fetched for at once."""

AGAIN, LONGEST = 2.0, 300.0
"""Seconds until who did not answer, or did not bring all, is asked again: they double from the first to the longest."""

PROGRESS = ("00741002", "00741006")

LINGER, GRACE, GOODBYE = 3600.0, 2.0, 5.0
"""See `inbound.submit`."""


class WebAddress(Protocol):
    """A DICOMweb server that gives what lies at an address of its own."""

    name: str
    title: str

    def fetch_at(self, url: str, sink: Sink, until: float) -> None:
        """Brings all of it. Raises like `Archive.fetch`."""
        ...


class Collector:
    """open_archive: how a peer is asked that answers queries; open_address: how one is that has `dicomweb`."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        spool: Spool,
        worklist: Worklist,
        open_archive: Callable[[str], Archive],
        open_address: Callable[[str], WebAddress],
    ) -> None:
        self._settings, self._ledger, self._worklist = settings, ledger, worklist
        self._door = SideDoor(spool, ledger, settings.listen.inflate_ratio, "collect")
        self._open_archive, self._open_address = open_archive, open_address
        self._lock = Lock()
        self._under_way: dict[str, Thread] = {}
        self._next: dict[str, tuple[float, float]] = {}
        """Workitem -> (when it is due on the monotonic clock, the pause before that)."""

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        self._door.start()
        keep_going("collecting", self.tick, TICK, stop, lambda: (self._ledger.look(), self._worklist.look()))
        patience = time.monotonic() + GOODBYE
        with self._lock:
            threads = list(self._under_way.values())
        for thread in threads:
            thread.join(max(patience - time.monotonic(), 0.0))
        self._door.stop()

    def tick(self, _now: float) -> bool:
        """Begins with every workitem that waits, that is due and that is not under way; True while some are."""
        now = time.monotonic()
        routes = self._settings.routes
        waiting = self._worklist.find_unlinked([r.pipeline for r in routes], [r.name for r in routes])
        with self._lock:
            uids = {item.uid for item in waiting}
            self._next = {uid: when for uid, when in self._next.items() if uid in uids}
        for item in waiting:
            inputs = self._find_wanted(item)
            with self._lock:
                is_due = self._next.get(item.uid, (0.0, 0.0))[0] <= now and item.uid not in self._under_way
                if not inputs or not is_due or len(self._under_way) >= AT_ONCE:
                    continue
                thread = Thread(target=self._serve, args=(item, inputs), name="collect", daemon=True)
                self._under_way[item.uid] = thread
                thread.start()
        with self._lock:
            return bool(self._under_way)

    def _find_wanted(self, item: Workitem) -> list[Input]:
        """What a workitem for us reads, is not all here, and is said to be somewhere."""
        try:
            model = json.loads(item.model)
            if not is_ours(model, self._settings.node.ae_title) or find_route(model, self._settings) is None:
                return []
            return [one for one in read_inputs(model) if one.has_place and not self._is_here(one)]
        except DAMAGE:
            return []

    def _is_here(self, one: Input) -> bool:
        held = {instance.sop_instance_uid for instance in self._ledger.find_instances(one.study_uid)}
        wanted = {instance.sop_instance_uid for instance in one.instances}
        if wanted:
            return wanted <= held
        study = self._ledger.find_study(one.study_uid)
        return bool(held) and study is not None and study.state == StudyState.COMPLETE

    def _serve(self, item: Workitem, inputs: list[Input]) -> None:
        try:
            self._say(item, "its images are fetched")
            troubles = [trouble for one in inputs for trouble in self._collect(item, one)]
            if troubles:
                self._say(item, f"it waits for its images: {troubles[0]}")
        except Exception:
            log.exception("fetching for workitem %s stumbled; it is tried again", item.uid)
        finally:
            with self._lock:
                pause = min(max(2 * self._next.get(item.uid, (0.0, 0.0))[1], AGAIN), LONGEST)
                self._next[item.uid] = time.monotonic() + pause, pause
                del self._under_way[item.uid]

    def _collect(self, item: Workitem, one: Input) -> Iterator[str]:
        """Place by place until all is here; why it is not, otherwise."""
        until = time.monotonic() + self._settings.completeness.give_up.total_seconds()
        troubles = []
        for fetch in self._find_places(item, one, until):
            try:
                fetch()
            except (PeerRefused, PeerUnreachable, OutOfResources) as trouble:
                troubles.append(str(trouble))
            if self._is_here(one):
                return
        log.warning("workitem %s waits for images of study %s", item.uid, one.study_uid)
        yield from troubles or ["not all of them came" if one.instances else "none came"]

    def _find_places(self, item: Workitem, one: Input, until: float) -> Iterator[Callable[[], None]]:
        """WADO-RS first: whoever names the very address knows best."""
        for url in one.urls:
            yield partial(self._fetch_at, item, one, url, until)
        for title in one.titles:
            yield partial(self._fetch_from, item, one, title, until)

    def _fetch_at(self, item: Workitem, one: Input, url: str, until: float) -> None:
        place = _find_origin(url)
        peers = self._settings.peers.items()
        name = next((name for name, peer in peers if peer.dicomweb and _find_origin(peer.dicomweb) == place), "")
        if not name:
            raise PeerRefused("its WADO-RS address is on no server that is a peer's dicomweb")
        archive = self._open_address(name)
        with self._asking(item, one, archive.title or archive.name[:16], until) as ours:
            with self._door.open(archive.title or archive.name[:16], one.study_uid) as sink:
                archive.fetch_at(url, sink, until)
            if ours and not one.instances:  # the address was of all that it means
                self._ledger.put_expectation(Expectation(one.study_uid, Kind.OPERATOR, "", time.time()))

    def _fetch_from(self, item: Workitem, one: Input, title: str, until: float) -> None:
        peers = self._settings.peers.items()
        name = next((name for name, peer in peers if peer.ae_title == title and peer.query), "")
        if not name:
            raise PeerRefused(f"its Retrieve AE {title!r} is no peer with query = true")
        archive = self._open_archive(name)
        fetcher = Fetcher(self._ledger, self._door, until)
        with self._asking(item, one, archive.title or archive.name[:16], until) as ours:
            if one.series_uid and one.instances:
                fetcher.fetch_series(archive, one.study_uid, one.series_uid, one.instances)
                return
            number, lacking = fetcher.fetch_study(archive, one.study_uid)
            if number and not lacking and ours:
                self._ledger.put_expectation(Expectation(one.study_uid, Kind.OPERATOR, "", time.time()))

    @contextmanager
    def _asking(self, item: Workitem, one: Input, title: str, until: float) -> Iterator[bool]:
        """True when the study is here for this alone: what comes opens no jobs of its own."""
        ours, key, now = not is_own(self._ledger, one.study_uid), derive_key("collect", item.uid), time.time()
        if ours:
            left = max(until - time.monotonic(), 0.0)
            self._ledger.add_asking(one.study_uid, key, title, now, now + left + LINGER)
        try:
            yield ours
        finally:
            if ours:
                self._ledger.end_asking(one.study_uid, key, time.time() + GRACE)

    def _say(self, item: Workitem, text: str) -> None:
        """As progress of the workitem, unless somebody claimed it meanwhile."""
        if find_values(json.loads(item.model), [*PROGRESS]) == [text]:
            return
        with suppress(WorkitemRefused):
            self._worklist.update(item.uid, state_wait(text), time.time())


def _find_origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()
