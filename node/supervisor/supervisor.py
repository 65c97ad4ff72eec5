"""One process per role: what dies is started again, sooner the first time and later the next."""

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO

from node.config import Settings, find_file
from node.errors import ConfigError
from node.ledger.integrity import check_ledger
from node.premises import prepare_home, require_doors
from node.supervisor.broker import Broker
from node.supervisor.parent import VARIABLE
from node.web.access.anonymous import find_anonymous

log = logging.getLogger(__name__)

ROLES = ("keep", "listen", "web", "work")
ORDERS = "orders"
"""The role that is there when hl7.listen is set."""

STOP_ORDER = (("listen", "web", ORDERS), ("work", "keep"), ("broker",))
CALM = 20.0
"""A role that lived this long (seconds) is restarted at once; one that dies sooner waits, longer each time."""

STOP_WAIT = 40.0


@dataclass(slots=True)
class Child:
    """One role's process."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    falls: int = 0
    start_at: float = field(default=0.0)


class Supervisor:
    """All roles of one node on one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        require_doors(settings)
        _check_free("node.listen", settings.node.listen)
        _check_free("web.listen", settings.web.listen)
        if settings.listen.tls:
            _check_free("listen.tls.address", settings.listen.tls.address)
        if settings.hl7.listen:
            _check_free("hl7.listen", settings.hl7.listen)
        prepare_home(settings)
        find_anonymous(settings)  # raises ConfigError where nobody could log in
        check_ledger(settings.ledger_url)
        self._lock = _lock(settings.node.home)
        self._environment = dict(os.environ) | {VARIABLE: str(os.getpid())}
        self._children: list[Child] = []
        if not settings.queue.url:
            broker = Broker(settings.node.home)
            self._environment["WETREAD_QUEUE__URL"] = broker.url
            self._children.append(Child("broker", [sys.executable, "-m", "node.supervisor.parent", *broker.command()]))
        roles = (*ROLES, ORDERS) if settings.hl7.listen else ROLES
        self._children += [Child(role, [sys.executable, "-m", "node.cli", role]) for role in roles]

    def run(self, stop: Event) -> None:
        """Starts everything and keeps it running until `stop` is set; then stops the door first, the broker last."""
        log.info(
            "%s starts on %s, status page on %s://%s, home %s, configuration %s; Ctrl-C stops it",
            self._settings.node.ae_title,
            self._settings.node.listen,
            "https" if self._settings.web.cert else "http",
            self._settings.web.listen,
            self._settings.node.home,
            find_file(os.environ) or "none: defaults alone",
        )
        try:
            while not stop.is_set():
                for child in self._children:
                    _look_after(child, self._environment)
                stop.wait(0.2)
        finally:
            # Door and page first, then those who work, the broker last.
            for group in STOP_ORDER:
                _stop([child for child in self._children if child.name in group], STOP_WAIT)
            self._lock.close()


def run_listeners(count: int, stop: Event) -> None:
    """`count` listener processes on one port until `stop` is set; what dies is started again."""
    environment = dict(os.environ) | {VARIABLE: str(os.getpid())}
    command = [sys.executable, "-m", "node.cli", "listen", "--number"]
    children = [Child(f"listen-{number}", [*command, str(number)]) for number in range(count)]
    try:
        while not stop.is_set():
            for child in children:
                _look_after(child, environment)
            stop.wait(0.2)
    finally:
        _stop(children, STOP_WAIT / 2)


def _look_after(child: Child, environment: dict[str, str]) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_at:
            child.process = subprocess.Popen(child.command, env=environment, stdin=subprocess.DEVNULL)
            child.started = now
        return
    code = child.process.poll()
    if code is None:
        return
    child.falls = 0 if now - child.started > CALM else child.falls + 1
    wait = min(0.2 * 2**child.falls, 10.0) if child.falls else 0.0
    log.error("%s ended with %s; it starts again in %.1f s", child.name, code, wait)
    child.process, child.start_at = None, now + wait


def _stop(children: Sequence[Child], patience: float) -> None:
    """Ends `children` together; who does not end within `patience` seconds is killed."""
    running = [child.process for child in children if child.process and child.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + patience
    for process in running:
        _wait_or_kill(process, until)


def _wait_or_kill(process: subprocess.Popen[bytes], patience: float) -> None:
    try:
        process.wait(max(patience - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        log.warning("process %d does not stop; it is killed, its job will run again", process.pid)
        process.kill()
        process.wait()


def _check_free(key: str, address: str) -> None:
    """Better no start than roles that die again and again."""
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise ConfigError(f"{key} = {address!r}: {error.strerror}") from error


def _lock(home: Path) -> IO[bytes]:
    """One supervisor per home."""
    file = (home / "up.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(f"another `wetread up` runs on {home}") from error
    return file
