"""A node and an Orthanc with bad lines between them, and every part of both killed or cut off on demand.

Orthanc -> link -> `wetread up` -> link -> Orthanc
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.request import urlopen

from node.config import load_settings
from node.errors import PeerUnreachable
from node.ledger import SqlLedger
from node.outbound.echo import echo
from tests.bench.processes import find_tree
from tests.flow.house import PLUGIN
from tests.flow.link import Link
from tests.flow.orthanc import TITLE, Orthanc
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "{home}"
[listen]
unknown_callers = "loopback"
min_free_mb = 16
[web]
listen = "127.0.0.1:{web}"
[completeness]
quiet = "PT2S"
broken = "PT25S"
give_up = "PT45S"
[work]
lease = "PT4S"
device = "cpu"
attempts = 10
[deliver]
retry_first = "PT0.5S"
retry_longest = "PT2S"
commit_wait = "PT3S"
[peers.pacs]
ae_title = "{title}"
address = "127.0.0.1:{pacs}"
send = true
confirm = "commitment"
[[routes]]
name = "bright CT"
from = ["pacs"]
when = {{ Modality = "CT" }}
pipeline = "threshold"
deliver = ["pacs"]
"""
WORDS = {
    "listener": "node.cli listen",
    "housekeeping": "node.cli keep",
    "web": "node.cli web",
    "worker": "-m workers",
    "broker": "valkey-server",
}
KINDS = (
    "listener",
    "worker child",
    "worker parent",
    "broker",
    "broker wiped",
    "housekeeping",
    "web",
    "PACS",
    "whole node",
    "line to the node",
    "line to the PACS",
)
"""What can be killed with SIGKILL, or, of lines, cut off."""


class Storm:
    """From entering to leaving. share: of the connections between the two that meet a fault. work_s: how long the
    pipeline takes, so that there is something to interrupt."""

    def __init__(self, folder: Path, seed: int, share: float = 0.3, work_s: float = 0.7) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.recoveries: list[tuple[str, float]] = []
        self.door, self.web, dicom, http = (free_port() for _ in range(4))
        self.inward = Link(self.door, f"{seed} in", share)
        self.outward = Link(dicom, f"{seed} out", share)
        self.pacs = Orthanc(folder / "orthanc", dicom, http, self.inward.port)
        config = folder / "wetread.toml"
        text = TOML.format(door=self.door, web=self.web, pacs=self.outward.port, home=folder / "home", title=TITLE)
        config.write_text(text, "utf-8")
        (folder / "seconds").write_text(str(work_s), "utf-8")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD_")}
        self._environment |= {
            "PYTHONPATH": os.pathsep.join((str(ROOT), install_plugin(folder / "plugin"))),
            "THRESHOLD_SECONDS": str(folder / "seconds"),
            "WETREAD_CONFIG": str(config),
        }
        sys.path.insert(0, str(folder / "plugin"))  # `load_settings` looks for the pipelines that routes name
        self.settings = load_settings(config, {})
        sys.path.remove(str(folder / "plugin"))
        self.process: subprocess.Popen[bytes] | None = None
        self._seen: set[int] = set()
        self._watches: list[Thread] = []

    def __enter__(self) -> "Storm":
        try:
            self.pacs.start()
            self.start_node()
            self.wait_until(self.is_open, 90)
            self.ledger = SqlLedger(self.settings.ledger_url)
            self.wait_until(self.find_worker_children, 90)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_node()
        with suppress(AttributeError, subprocess.TimeoutExpired):
            self.pacs.stop()
        for link in (self.inward, self.outward):
            link.close()
        if hasattr(self, "ledger"):
            self.ledger.close()

    def start_node(self) -> None:
        """`wetread up`."""
        with (self.folder / "node.log").open("ab") as log:
            command = [sys.executable, "-m", "node.cli", "up"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def stop_node(self) -> None:
        """An orderly end; idempotent."""
        if self.process is None or self.process.poll() is not None:
            return
        self.note_processes()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def calm(self) -> None:
        """No more faults on the lines."""
        self.inward.calm()
        self.outward.calm()

    def kill(self, kind: str) -> None:
        """One of KINDS now; how long it takes to be back is watched on a thread of its own."""
        self.kills[kind] += 1
        self.note_processes()
        if kind.startswith("line"):
            link = self.inward if kind.endswith("node") else self.outward
            link.cut(self.chance.uniform(0.2, 3.0))
            return
        pids, began = self._find_victims(kind), time.monotonic()
        pause = self.chance.uniform(0, 2.0)
        if kind == "PACS":
            self.pacs.kill()
            time.sleep(pause)
            self.pacs.start()
            self.recoveries.append((kind, time.monotonic() - began))
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind == "broker wiped":
            shutil.rmtree(self.settings.node.home / "broker", ignore_errors=True)
            (self.settings.node.home / "broker").mkdir(exist_ok=True)
        if kind == "whole node":
            assert self.process is not None
            self.process.wait()
            time.sleep(pause / 2)
            self.start_node()
        watch = Thread(target=self._watch, args=(kind, pids, began), daemon=True)
        watch.start()
        self._watches.append(watch)

    def wait_for_recovery(self, seconds: float) -> int:
        """Waits for what was killed; returns how many are not back."""
        until = time.monotonic() + seconds
        for watch in self._watches:
            watch.join(max(until - time.monotonic(), 0.0))
        return sum(watch.is_alive() for watch in self._watches)

    def find_pids(self, words: str) -> list[int]:
        """Processes of the node whose command line contains `words`."""
        assert self.process is not None
        return [pid for pid in find_tree(self.process.pid) if words in _read_command(pid)]

    def find_worker_children(self) -> list[int]:
        """The processes in which models run."""
        parents = self.find_pids(WORDS["worker"])
        return [pid for pid in parents if any(pid in find_tree(other)[1:] for other in parents)]

    def note_processes(self) -> None:
        """Remembers who lives, for `find_orphans`."""
        if self.process is not None:
            self._seen |= set(find_tree(self.process.pid))

    def find_orphans(self) -> list[int]:
        """Processes of the node that outlived it: for after `stop_node`."""
        return [pid for pid in self._seen if str(self.folder / "wetread.toml") in _read_environment(pid)]

    def is_open(self) -> bool:
        """True when the door answers, asked without the link."""
        try:
            echo("TEST", ("127.0.0.1", self.door), "WETREAD")
        except PeerUnreachable:
            return False
        return True

    def wait_until(self, truth, seconds: float):
        """The first true answer of `truth`."""
        patience = time.monotonic() + seconds
        while time.monotonic() < patience:
            if answer := truth():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"waited in vain for {seconds:.0f} s; the node's log ends with\n{self.log_tail()}")

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the node said."""
        return "\n".join((self.folder / "node.log").read_text("utf-8", "replace").splitlines()[-lines:])

    def _find_victims(self, kind: str) -> list[int]:
        assert self.process is not None
        if kind == "whole node":
            return find_tree(self.process.pid)
        if kind == "worker child":
            return self.find_worker_children()
        if kind == "worker parent":
            return sorted(set(self.find_pids(WORDS["worker"])) - set(self.find_worker_children()))
        return self.find_pids(WORDS[kind.partition(" ")[0]]) if kind != "PACS" else []

    def _watch(self, kind: str, pids: list[int], began: float) -> None:
        """Until somebody new does what the killed ones did, and answers where it has an address."""
        while not self._is_back(kind, pids):
            time.sleep(0.2)
        self.recoveries.append((kind, time.monotonic() - began))

    def _is_back(self, kind: str, pids: list[int]) -> bool:
        if not set(self._find_victims(kind)) - set(pids):
            return False
        if kind in {"listener", "whole node"}:
            return self.is_open()
        if kind == "web":
            with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{self.web}/healthz", timeout=5) as answer:
                return answer.status == 200
            return False
        return True


def install_plugin(folder: Path) -> str:
    """What PYTHONPATH needs so that the entry point group finds the threshold pipeline."""
    info = folder / "threshold-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: threshold\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[wetread.pipelines]\nthreshold = threshold_pipeline\n", "utf-8")
    (folder / "threshold_pipeline").symlink_to(PLUGIN / "threshold_pipeline")
    return str(folder)


def _read_command(pid: int) -> str:
    return _read(pid, "cmdline")


def _read_environment(pid: int) -> str:
    return _read(pid, "environ")


def _read(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
