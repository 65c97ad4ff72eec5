"""The receivers that are compared, each a process of its own on loopback, and what they leave on disk."""

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from images import to_digest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class CannotMeasure(Exception):
    """What keeps the bench from running, as a sentence."""


@dataclass(frozen=True)
class Kind:
    """How a receiver is started and what it promises by 0x0000.

    command: (folder, port, folder of the built programs) -> the arguments. stored: where images end, below the folder.
    needs: a program that must be there. index: an SQLite ledger with a row an image, a part of keeping it.
    """

    name: str
    title: str
    promise: str
    command: Callable[[Path, int, Path], list[str]]
    stored: str = "."
    needs: str = ""
    index: str = ""
    environment: dict[str, str] = field(default_factory=dict)


class Receiver:
    """One process (with its children) on a folder of its own, from `start` to `stop`."""

    def __init__(self, kind, folder, tools):
        self.kind = kind
        self.port = _find_port()
        self._folder = folder
        self._tools = tools
        self._stored = folder / kind.stored
        self._indexed = 0
        self._process = None

    def start(self):
        self._folder.mkdir(parents=True)
        command = self.kind.command(self._folder, self.port, self._tools)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WETREAD_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | self.kind.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is ours alone, and the whole group can be ended
            )

    @property
    def pid(self):
        return self._process.pid

    @property
    def _log(self):
        return self._folder.with_suffix(".log")

    def wait_until_open(self):
        """Raises CannotMeasure, with the end of what it said, when it does not listen within 30 s."""
        patience = time.monotonic() + 30
        while time.monotonic() < patience and self._process.poll() is None:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return
            time.sleep(0.05)
        raise CannotMeasure(f"{self.kind.title} does not start: {self.log_end()}")

    def log_end(self):
        """The last words of its log."""
        return self._log.read_text("utf-8", "replace")[-500:].strip()

    def stop(self):
        """Kills the whole group and removes its files. Safe to call at any moment."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def count_kept(self, size):
        """Images that lie whole under their final names since the last `empty`, those without a row left out.

        size: bytes of an image as sent; a receiver's own header may be shorter, what is much smaller is no image.
        """
        files = sum(1 for path in self._files() if path.stat().st_size >= 0.99 * size)
        return min(files, self._count_rows() - self._indexed) if self.kind.index else files

    def count_damaged(self, kind, size, digests):
        """Images of a kind whose pixels are not those of any image that was sent. digests: theirs."""
        paths = [path for path in self._files() if path.stat().st_size >= 0.99 * size]
        return sum(to_digest(kind, path) not in digests for path in paths)

    def empty(self):
        """Removes the images, so that no run fills the disk; what a receiver wrote beside them stays."""
        for path in self._files():
            path.unlink()
        self._indexed = self._count_rows()

    def _files(self):
        for folder, _, names in os.walk(self._stored):
            yield from (Path(folder, name) for name in names)

    def _count_rows(self):
        if not self.kind.index:
            return 0
        with closing(sqlite3.connect(f"file:{self._folder / self.kind.index}?mode=ro", uri=True)) as ledger:
            return ledger.execute("SELECT count(*) FROM instance").fetchone()[0]


def find_missing():
    """{name of a kind: the program it needs and that is not installed}."""
    return {kind.name: kind.needs for kind in KINDS.values() if kind.needs and shutil.which(kind.needs) is None}


def _find_port():
    """A free port below the range that outgoing connections are given, so that no sender takes it meanwhile."""
    for port in random.sample(range(15000, 32000), 200):
        with closing(socket.socket()) as door, suppress(OSError):
            door.bind(("127.0.0.1", port))
            return port
    raise CannotMeasure("no free port on loopback")


def _wetread(processes):
    def command(folder, port, _):
        config = folder / "wetread.toml"
        config.write_text(
            f'[node]\nae_title = "WETREAD"\nlisten = "127.0.0.1:{port}"\nhome = "{folder / "home"}"\n'
            f'[listen]\nprocesses = {processes}\nunknown_callers = "loopback"\n'
            "max_associations = 600\nmax_associations_per_peer = 600\nmin_free_mb = 64\n",
            "utf-8",
        )
        return [sys.executable, "-m", "node.cli", "listen", "--config", str(config)]

    return command


def _limit(mode):
    return lambda folder, port, tools: [str(tools / "limit"), str(port), str(folder), mode]


def _pynetdicom(mode):
    script = str(HERE / "store_handler.py")
    return lambda folder, port, _: [sys.executable, script, str(port), str(folder / "stored"), mode]


def _dcmtk(folder, port, _):
    stored = folder / "stored"
    stored.mkdir()
    return ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(stored), str(port)]


def _orthanc(folder, port, _):
    """DICOM alone, no plugin, files as they come, long PDUs; the rest as shipped: files synced, the index later, four
    DICOM threads (more made it no faster at 8 associations and slower at 500)."""
    config = folder / "orthanc.json"
    settings = {
        "Name": "bench",
        "StorageDirectory": str(folder / "stored"),
        "IndexDirectory": str(folder / "index"),
        "StorageCompression": False,
        "Plugins": [],
        "HttpServerEnabled": False,
        "DicomAet": "WETREAD",
        "DicomPort": port,
        "MaximumPduLength": 131072,
    }
    config.write_text(json.dumps(settings), "utf-8")
    return ["Orthanc", str(config)]


NODELAY = {"TCP_NODELAY": "1"}  # dcmtk reads it; without it storescp itself answers with Nagle on, 20 images/s
WHOLE = "file and directory synced, index row soon"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("wetread", "Wetread", WHOLE, _wetread(4), "home/spool/kept", index="home/ledger.sqlite"),
        Kind("wetread-1", "Wetread, 1 process", WHOLE, _wetread(1), "home/spool/kept", index="home/ledger.sqlite"),
        Kind("limit", "C receiver, synced", "file and directory synced", _limit("synced"), "kept"),
        Kind("limit-unsynced", "C receiver, unsynced", "nothing synced", _limit("unsynced"), "kept"),
        Kind("dcmtk", "dcmtk storescp", "nothing synced", _dcmtk, "stored", "storescp", environment=NODELAY),
        Kind("orthanc", "Orthanc", "file synced, index later", _orthanc, "stored", "Orthanc", environment=NODELAY),
        Kind("pynetdicom", "pynetdicom", "nothing synced", _pynetdicom("unsynced"), "stored"),
        Kind("pynetdicom-synced", "pynetdicom + fsync", "file and directory synced", _pynetdicom("synced"), "stored"),
    )
}
