"""Listens to what a manager tells by WebSocket (PS3.18 8.10): subscribes, opens the address that it answers, writes
events down.

In:  event reports, text frames of DICOM JSON.   Out: rows that the performer acts on.
What was said while nobody listened is not lost: each time that the line opens the whole list is looked at.
"""

import json
import logging
import ssl
import time
from threading import Event
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from node.config import Settings
from node.dicom.model_values import find_values
from node.errors import PeerRefused, PeerUnreachable
from node.model.workitem import GLOBAL, Report
from node.outbound.performing.web import open_web
from node.security.tls import make_client_context
from node.security.web_client import find_authorization
from node.worklist import Worklist

log = logging.getLogger(__name__)

LONGEST = 1 << 20
"""Bytes of one event."""

TICK = 0.5
"""Seconds after which it is seen that the role ends."""


class Channel:
    """The line from the peer `name`."""

    def __init__(self, name: str, settings: Settings, worklist: Worklist) -> None:
        self._name = name
        self._settings, self._worklist = settings, worklist
        self._peer = settings.peers[name]

    def run(self, stop: Event) -> None:
        """Listens until `stop` is set; a line that breaks is opened again, after longer and longer pauses."""
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                self._listen(stop)
                why = "it closed the line"
            except (PeerUnreachable, PeerRefused) as error:
                why = str(error)
            except (OSError, WebSocketException, ValueError) as error:
                why = f"the line of its events broke ({type(error).__name__})"
            except Exception:
                log.exception("listening to %s stumbled; it goes on", self._name)
                why = "see above"
            if stop.is_set():
                return
            patient = self._settings.deliver.retry_longest.total_seconds()
            failures = 0 if time.monotonic() - began > patient else failures + 1
            log.warning("%s tells no events: %s", self._name, why)
            stop.wait(self._settings.deliver.find_pause(failures))

    def _listen(self, stop: Event) -> None:
        """Until the line ends. Raises PeerUnreachable, PeerRefused, OSError or WebSocketException."""
        with open_web(self._name, self._settings) as board:
            address = board.subscribe(self._peer.perform.label, self._peer.perform.station)
        with self._connect(address) as line:
            log.info("%s tells us of its workitems", self._name)
            self._worklist.hear(self._name, GLOBAL, Report.SCP_STATUS, "{}")  # a look at the whole list
            while not stop.is_set():
                try:
                    self._take(line.recv(timeout=TICK))
                except TimeoutError:
                    continue

    def _connect(self, address: str) -> ClientConnection:
        """Who we are is told to the server of `dicomweb` alone, whatever address it answers."""
        place, ours = urlsplit(address), urlsplit(self._peer.dicomweb)
        secure = place.scheme == "wss"
        is_same = (place.hostname, secure) == (ours.hostname, ours.scheme == "https")
        said = find_authorization(self._peer.web) if is_same else ""
        context: ssl.SSLContext | None = make_client_context(self._peer.web, "web") if secure else None
        return connect(
            address,
            ssl=context,
            additional_headers={"Authorization": said} if said else None,
            open_timeout=self._settings.deliver.answer_wait.total_seconds(),
            max_size=LONGEST,
            proxy=None,
        )

    def _take(self, frame: str | bytes) -> None:
        """One event, alone or as an array of one; what is none is named in the log and passed over."""
        try:
            said = json.loads(frame)
            model = said[0] if isinstance(said, list) else said
            uid, kind = (next(iter(find_values(model, [tag])), "") for tag in ("00001000", "00001002"))
            report = Report(int(kind))
        except (ValueError, TypeError, AttributeError, LookupError):
            log.warning("%s tells what is no event report", self._name)
            return
        information = {tag: element for tag, element in model.items() if not tag.startswith("0000")}
        self._worklist.hear(self._name, str(uid), report, json.dumps(information))
