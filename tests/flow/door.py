"""One listener process with a home of its own, looked at from outside: sockets, /proc, files and rows."""

import hashlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from xxhash import xxh3_128

from node.config import load_settings
from node.ledger import SqlLedger
from tests.flow.nursery import Newborn, find_nursery
from tests.flow.wire import CT, ECHO, EXPLICIT, Closed, Rejected, Wire
from tests.ports import free_port
from tests.series import make_slice

TOML = """
[node]
listen = "127.0.0.1:{port}"
home = "{home}"
[listen]
{listen}
{more}
"""
ROOM_MB = 32
"""How much the door may grow under attack."""


class Door:
    """A listener that runs inside `with`; listen: lines of its section; more: further sections.

    home: where it keeps things; a folder of `folder` by default.
    """

    def __init__(self, folder: Path, listen: str = "", more: str = "", home: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = ("127.0.0.1", free_port())
        self.config, self.log = folder / "wetread.toml", folder / "door.log"
        home = home or folder / "home"
        self.config.write_text(TOML.format(port=self.address[1], home=home, listen=listen, more=more))
        self.settings = load_settings(self.config, {})
        self.spool = Path(self.settings.spool)
        self.process: Newborn | None = None
        self._ledger: SqlLedger | None = None

    def __enter__(self) -> "Door":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
        if self._ledger:
            self._ledger.close()

    @property
    def ledger(self) -> SqlLedger:
        self._ledger = self._ledger or SqlLedger(self.settings.ledger_url)
        return self._ledger

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        self.process = find_nursery().listen(self.config, self.log)
        self.wait_until(self._is_open, 60, pause=0.01)

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL to the process and whatever it started."""
        assert self.process and self.process.poll() is None, self.log_tail()
        for pid in self.find_pids():
            os.kill(pid, signal.SIGKILL)
        assert self.process.wait(30) == -signal.SIGKILL

    def find_pids(self) -> list[int]:
        """The process and all its descendants."""
        assert self.process
        pids = [self.process.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(FileNotFoundError, ProcessLookupError):  # a thread that is over
                    pids += [int(child) for child in task.read_text().split()]
        return pids

    def measure_mb(self, key: str = "VmRSS") -> float:
        """VmRSS, or VmHWM (the most since `forget_peak`), summed over the process tree."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.find_pids()]
        return sum(int(match[1]) for text in texts if (match := re.search(rf"{key}:\s+(\d+)", text))) / 1024

    def forget_peak(self) -> None:
        """VmHWM starts again from VmRSS (proc(5), clear_refs)."""
        for pid in self.find_pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def wire(self, **options: Any) -> Wire:
        return Wire(self.address, **options)

    def echo(self) -> float:
        """Seconds for a connection, an association, a C-ECHO and the release."""
        start = time.monotonic()
        with self.wire() as wire:
            assert wire.associate(ECHO).echo(1) == 0x0000
            wire.release()
        return time.monotonic() - start

    def watch(self) -> "Watch":
        return Watch(self, self.echo)

    def wait_until(self, truth: Callable[[], Any], seconds: float, pause: float = 0.05) -> Any:
        patience = time.monotonic() + seconds
        while time.monotonic() < patience:
            assert self.process and self.process.poll() is None, f"the door died\n{self.log_tail()}"
            if answer := truth():
                return answer
            time.sleep(pause)
        raise AssertionError(f"waited in vain; the door's log ends with\n{self.log_tail()}")

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def expect_clean_log(self) -> None:
        """Nothing of what came was an error that nobody foresaw, and no sender wrote a line of its own."""
        text = self.log.read_bytes()
        assert b'  File "' not in text, self.log_tail()
        assert not re.search(rb"[^\n\x20-\x7e]", text), re.findall(rb".*[^\n\x20-\x7e].*", text)[:3]

    def find_kept(self) -> list[Path]:
        return sorted(path for path in (self.spool / "kept").rglob("*") if path.is_file())

    def find_parts(self) -> list[Path]:
        """Files in incoming/."""
        return sorted((self.spool / "incoming").iterdir())

    def find_quarantined(self) -> list[Path]:
        return sorted((self.spool / "quarantine").iterdir())

    def expect_row(self, uid: str, sent: bytes, seconds: float = 3.0) -> None:
        """The instance is indexed within `seconds`, and its file holds exactly the bytes `sent`."""
        instance = self.wait_until(lambda: self.ledger.find_instance(uid), seconds)
        path = self.spool / instance.path
        syntax, dataset = read_kept(path)
        assert sha256(dataset) == sha256(sent)
        assert (instance.digest, instance.transfer_syntax_uid, instance.size) == (
            path.stem,
            syntax,
            path.stat().st_size,
        )

    def _is_open(self) -> bool:
        try:
            self.echo()
        except (OSError, Closed, Rejected):
            return False
        return True


class Watch:
    """Asks for C-ECHO all the time from a thread of its own while something else is done to the door."""

    def __init__(self, door: Door, echo: Callable[[], float]) -> None:
        self.slowest, self.count, self.failures = 0.0, 0, list[str]()
        self.lag = 0.0
        self._door, self._echo = door, echo
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._pids = self._door.find_pids()
        self._before = self._door.measure_mb()
        self._door.forget_peak()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.slowest = max(self.slowest, self._echo())
                self.count += 1
            except (OSError, Closed, Rejected, AssertionError) as error:
                self.failures.append(repr(error))
            start = time.monotonic()
            self._stop.wait(0.1)
            self.lag = max(self.lag, time.monotonic() - start - 0.1)

    def growth_mb(self) -> float:
        """Peak of memory since the watch began, above what it was then."""
        return self._door.measure_mb("VmHWM") - self._before

    def expect_calm(self) -> None:
        """The same processes live, every C-ECHO was answered in a second, and memory did not grow much. Where the
        machine itself lets every thread wait, an echo may wait for some turns of that length."""
        assert self._door.find_pids() == self._pids, self._door.log_tail()
        assert not self.failures, f"{self.count} went well; {self.failures[:3]}"
        assert self.count > 0
        assert self.slowest < 1.0 + 5 * self.lag
        assert self.growth_mb() < ROOM_MB


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_kept(path: Path) -> tuple[str, bytes]:
    """(transfer syntax, dataset bytes) of a kept file; AssertionError unless it is whole, under its own name."""
    data = path.read_bytes()
    assert data[128:140] == b"DICM\x02\0\0\0UL\x04\0", f"{path.name} is no Part 10 file"
    offset = 144 + int.from_bytes(data[140:144], "little")
    assert offset < len(data), f"{path.name} ends in its header"
    syntax = str(dcmread(BytesIO(data), specific_tags=["SOPInstanceUID"]).file_meta.TransferSyntaxUID)
    digest = xxh3_128(syntax.encode("ascii") + b"\0" + data[offset:]).hexdigest()
    assert (path.stem, path.parent.name, path.suffix) == (digest, digest[:2], ".dcm")
    return syntax, data[offset:]


def encode(dataset: Any, syntax: str = EXPLICIT) -> bytes:
    """The dataset as it goes over the wire, uncompressed little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, syntax != EXPLICIT
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def make_images(count: int, side: int = 64, seed: int = 0, study: str = "1.2.3.1") -> Iterator[tuple[str, bytes]]:
    """(SOP Instance UID, dataset) of CT images of `side` x `side` pixels, each with a noise of its own."""
    noise = np.random.default_rng(seed)
    name = f"2.25.9{seed:03d}{{:07d}}"
    blank = np.zeros((side, side), np.int16)
    template = encode(make_slice(blank, (0, 0, 0), SOPInstanceUID=name.format(0), StudyInstanceUID=study))
    head = template[: -blank.nbytes]
    assert head.count(name.format(0).encode()) == 1
    for number in range(1, count + 1):
        uid = name.format(number)
        pixels = noise.integers(-1000, 3000, (side, side), np.int16).tobytes()
        yield uid, head.replace(name.format(0).encode(), uid.encode()) + pixels


def store_one(door: Door, uid: str, dataset: bytes, sop_class: str = CT) -> int:
    """The status of one C-STORE on an association of its own."""
    with door.wire() as wire:
        status = wire.associate(((sop_class, (EXPLICIT,)),)).store(uid, dataset, sop_class)
        wire.release()
        return status
