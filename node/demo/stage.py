"""The demo's stage: a real node in a folder of its own, as `wetread up` runs it, and a stand-in PACS beside it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node import wiring
from node.config import Settings, load_settings
from node.demo.pacs import StandInPacs
from node.errors import PeerUnreachable, WetreadError
from node.ledger import Ledger
from node.outbound.echo import echo

TOML = """\
[node]
listen = "127.0.0.1:{door}"
home = "{home}"

[completeness]
quiet = "PT1S"
broken = "PT20S"

[web]
listen = "127.0.0.1:{web}"

[listen]
min_free_mb = 64

[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:{pacs}"
confirm = "commitment"

"""
ROUTE = '[[routes]]\nname = "{name}"\nwhen = {when}\npipeline = "{pipeline}"\ndeliver = ["pacs"]\n\n'
DEFAULT_ROUTES = (("chest CT", '{ Modality = "CT" }', "lung-seg"), ("head MR", '{ Modality = "MR" }', "brain-extract"))
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo plays on."""

    settings: Settings
    ledger: Ledger
    pacs: StandInPacs
    log: Path
    node: subprocess.Popen[bytes]

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens."""
        host, port = self.settings.node.listen.rsplit(":", 1)
        return host, int(port)

    def dismiss(self) -> None:
        """Tells the node to stop, without waiting for it."""
        if self.node.poll() is None:
            self.node.send_signal(signal.SIGTERM)


@contextmanager
def set_stage(home: Path, received: Path, pipeline: str | None) -> Iterator[Stage]:
    """Node and PACS up and answering; both gone afterwards. Raises WetreadError with the end of the node's log."""
    door, web = _free_port(), _free_port()
    pacs = StandInPacs(received, report_to=("127.0.0.1", door, "WETREAD"))
    config = _write_config(home, door, web, pacs.start(), pipeline)
    settings = load_settings(config, {})
    log = home / "node.log"
    with log.open("wb") as sink:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WETREAD_")}
        command = [sys.executable, "-m", "node.cli", "up", "--config", str(config)]
        node = subprocess.Popen(command, stderr=sink, stdout=sink, env=environment)
    stage = Stage(settings, wiring.open_ledger(settings), pacs, log, node)
    try:
        _wait_for_door(node, stage)
        yield stage
    finally:
        stage.dismiss()
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        pacs.stop()


def _write_config(home: Path, door: int, web: int, pacs: int, pipeline: str | None) -> Path:
    text = TOML.format(door=door, home=home / "home", web=web, pacs=pacs)
    routes = [("everything", "{}", pipeline)] if pipeline else DEFAULT_ROUTES
    text += "".join(ROUTE.format(name=name, when=when, pipeline=target) for name, when, target in routes)
    path = home / "wetread.toml"
    path.write_text(text, "utf-8")
    return path


def _wait_for_door(node: subprocess.Popen[bytes], stage: Stage) -> None:
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        if node.poll() is not None:
            break
        try:
            echo("DEMOSCU", stage.address, stage.settings.node.ae_title)
        except PeerUnreachable:
            time.sleep(0.2)
        else:
            return
    lines = stage.log.read_text("utf-8", "replace").splitlines()[-15:]
    raise WetreadError("the node does not start:\n" + "\n".join(lines))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
