"""Runs the whole chain of a study in a process that ends at its n-th write, then again in one that does not.

    python -m tests.flow.crash_nursery FOLDER FIRST STRIDE LAST

A write is whatever changes what another process, or the next start, can see: a sync, a rename, a removal, a write to
the spool, a commit of the ledger. They are counted where Python calls them; os._exit comes before the n-th, so nothing
is flushed, released or said to anybody, as after kill -9. One JSON line for each n on stdout; the last is of the run
that had fewer than n writes, which ends the counting. Each run is a fork of this process, which has everything imported
and no thread.
"""

import faulthandler
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import torch  # noqa: F401  a second of every fork otherwise
from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import Engine, event

from node import wiring
from node.config import Settings, load_settings
from node.demo.pacs import StandInPacs
from node.errors import PeerUnreachable
from node.housekeeping import Housekeeper
from node.inbound import rename
from node.inbound.enqueue import Enqueuer
from node.ledger import SqlLedger
from node.model.job import FINAL, State
from node.model.study import StudyState
from node.outbound.deliver import Deliverer
from node.outbound.send import send_files
from tests.flow.modality import write_study
from tests.ports import free_port
from workers.hands import Hands

CRASHED = 77
PATIENCE = 60.0
CALLS = ("fsync", "rename", "replace", "unlink", "link", "writev")
TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "{home}"
[listen]
min_free_mb = 0
[completeness]
quiet = "PT0.1S"
broken = "PT5S"
give_up = "PT5S"
[work]
lease = "PT0.6S"
device = "cpu"
[deliver]
retry_first = "PT0.1S"
retry_longest = "PT0.2S"
commit_wait = "PT0.5S"
[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:{pacs}"
confirm = "commitment"
[[routes]]
name = "bright CT"
when = {{ Modality = "CT" }}
pipeline = "threshold"
deliver = ["pacs"]
"""


class Bell:
    """Nobody hears it: the chain below looks into the ledger, as housekeeping does when the broker is away."""

    def ring(self, jobs):
        """Loses a wake-up."""


def main() -> None:
    folder, first, stride, last = Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5])
    pacs_port = free_port()
    pacs = fork(lambda: serve_pacs(folder / "pacs", pacs_port))
    try:
        for number in range(first, last + 1, stride):
            outcome = try_point(folder / f"{number:04d}", number, pacs_port, folder / "pacs")
            print(json.dumps({"n": number} | outcome), flush=True)
            if not outcome["crashed_at"]:
                break
    finally:
        os.kill(pacs, signal.SIGKILL)
        os.waitpid(pacs, 0)


def try_point(folder: Path, number: int, pacs_port: int, pacs: Path) -> dict:
    """One study: crash at write `number`, restart, and what is there at the end."""
    folder.mkdir(parents=True)
    config, study_uid = folder / "wetread.toml", str(generate_uid(prefix=None))
    config.write_text(TOML.format(door=free_port(), home=folder / "home", pacs=pacs_port), "utf-8")
    images = write_study(study_uid, folder / "scan", slices=5)
    settings = load_settings(config, {})
    point, done = folder / "point", folder / "sent"
    sender = fork(lambda: send(folder / "scan", settings, done))
    code = wait_for(fork(lambda: run_chain(settings, number, point, done)), PATIENCE)
    if code == CRASHED:
        code = wait_for(fork(lambda: run_chain(settings, 0, point, done)), PATIENCE)
    sent = wait_for(sender, 5)
    crashed_at = point.read_text("utf-8") if point.exists() else ""
    return {"crashed_at": crashed_at, "code": code, "sent": sent, **look(settings, study_uid, images, pacs)}


def run_chain(settings: Settings, number: int, point: Path, sent: Path) -> int:
    """Listener, housekeeping, worker and delivery in this process until the only study is over and its sender content.
    Returns 0, or ends at the `number`-th write."""
    arm(number, point)
    ledger, spool = wiring.open_ledger(settings), wiring.open_spool(settings)
    listener = wiring.make_listener(settings)
    keeper = Housekeeper(settings, ledger, Enqueuer(settings, ledger, Bell()), spool)
    hands, deliverer = Hands(settings), Deliverer("pacs", settings, ledger)
    listener.start()
    images = len(list((sent.parent / "scan").iterdir()))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        keeper.tick(time.time())
        for job in ledger.find_jobs(states=[State.QUEUED]):
            hands.answer(job.lane)
        deliverer.tick(time.time())
        if sent.exists() and is_over(ledger, images):
            listener.stop()
            return 0
        time.sleep(0.05)
    return 1


def is_over(ledger: SqlLedger, images: int) -> bool:
    """True when all images have their rows, the study is complete, and every job is final."""
    if ledger.count_instances() < images or any(s.state != StudyState.COMPLETE for s in ledger.find_studies()):
        return False
    return all(job.state in FINAL for job in ledger.find_jobs())


def arm(number: int, point: Path) -> None:
    """From now on the `number`-th write of this process is its end; 0 is never."""
    numbers, lock = itertools.count(1), Lock()

    def note(what: str) -> None:
        with lock:
            if next(numbers) == number:
                _say(point, what)
                os._exit(CRASHED)

    for name in CALLS:
        setattr(os, name, _counted(getattr(os, name), name, note))
    if rename._RENAME is not None:
        rename._RENAME = _counted(rename._RENAME, "renameat2", note)
    event.listen(Engine, "commit", lambda _connection: note("commit"))


def _counted(call: Callable, name: str, note: Callable[[str], None]) -> Callable:
    def counted(*arguments, **words):
        note(name)
        return call(*arguments, **words)

    return counted


def _say(point: Path, what: str) -> None:
    """The write that did not happen, and the lines of ours that wanted it."""
    lines, frame = [], sys._getframe(2)
    while frame is not None and len(lines) < 6:
        path = Path(frame.f_code.co_filename)
        if "node" in path.parts or "workers" in path.parts:
            lines.append(f"{path.parent.name}/{path.name}:{frame.f_code.co_name}")
        frame = frame.f_back
    point.write_text(f"{what} in {' < '.join(lines)}", "utf-8")


def send(scan: Path, settings: Settings, done: Path) -> int:
    """As a PACS that tries again until every image was answered with success."""
    host, port = settings.node.listen.split(":")
    paths, until = sorted(scan.iterdir()), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with suppress(PeerUnreachable):
            if send_files(paths, "TEST", (host, int(port)), "WETREAD", lambda *_: None).taken == len(paths):
                done.touch()
                return 0
        time.sleep(0.1)
    return 1


def look(settings: Settings, study_uid: str, images: list[str], pacs: Path) -> dict:
    """What the ledger and both disks hold of the study."""
    ledger = SqlLedger(settings.ledger_url)
    held = {i.sop_instance_uid for i in ledger.find_instances(study_uid) if (settings.spool / i.path).is_file()}
    jobs = ledger.find_jobs(study_uid)
    objects = [{item.sop_instance_uid for item in ledger.find_objects(job.id)} for job in jobs]
    ledger.close()
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(pacs.glob("*.dcm"))]
    there = {str(h.SOPInstanceUID): str(h.Modality) for h in headers if h.StudyInstanceUID == study_uid}
    return {
        "missing_images": len(set(images) - held),
        "states": [str(job.state) for job in jobs],
        "results": sorted(there[uid] for uid in (objects[0] if objects else ()) if uid in there),
        "older_results": sorted(there[uid] for some in objects[1:] for uid in some if uid in there),
        "strangers": sorted(set(there) - set().union(*objects)),
    }


def serve_pacs(folder: Path, port: int) -> int:
    """The destination, which lives through it all."""
    StandInPacs(folder).start(port)
    while True:
        time.sleep(60)


def fork(work: Callable[[], int]) -> int:
    """The pid of a child that ends with what `work` returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    faulthandler.register(signal.SIGUSR1)
    try:
        code = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait_for(pid: int, seconds: float) -> int:
    """The exit code of a child; -9 when it had to be killed, after it has said on stderr where each thread stands."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGUSR1)
    time.sleep(1.0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGKILL


if __name__ == "__main__":
    main()
