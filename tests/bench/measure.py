"""Measuring: one receiver, one load, one set of numbers; and rounds of them, interleaved."""

import os
import statistics
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from processes import PeakWatch, cpu_seconds
from receivers import KINDS, Receiver
from senders import send_by_storescu

UNITS = {
    "images_per_s": "1/s",
    "mb_per_s": "MB/s",
    "cpu_ms": "ms per image",
    "cpu_percent": "% of a core",
    "peak_mb": "MB",
    "refused": "associations",
    "lost": "images",
    "store_ms_p50": "ms",
    "store_ms_p99": "ms",
    "associate_ms_p50": "ms",
    "associate_ms_p99": "ms",
}
WORST = {"refused", "lost", "peak_mb"}  # of these the worst round counts, of all others the median


@dataclass
class Load:
    """What there is to send. senders: {"ct" | "mr" | "frames": FastSender}; sizes: bytes of one image of a kind;
    digests: checksums of the pixels of a kind.

    files: CT files for storescu. idle_seconds: how long silent associations are watched.
    """

    senders: dict
    sizes: dict
    digests: dict
    files: list
    idle_seconds: float


def run_round(scenario, number, folder, tools, load, note, complain):
    """One round: every receiver, at every number of associations in turn.

    note(receiver, associations, numbers) is told each measurement, complain(text) the last words of one that lost.
    """
    names = [name for name in scenario.receivers if number == 0 or name not in scenario.once]
    with ExitStack() as stack:
        receivers = [Receiver(KINDS[name], folder / f"{scenario.name}-{name}", tools) for name in names]
        for receiver in receivers:
            stack.callback(receiver.stop)
            receiver.start()
        for receiver in receivers:
            receiver.wait_until_open()
            _warm_up(receiver, load)
        for step, associations in enumerate(scenario.images):
            for receiver in receivers:
                if scenario.name == "idle":
                    numbers = _watch_idle(receiver, associations, load)
                else:
                    numbers = _send(scenario, receiver, associations, step, load)
                note(receiver.kind.name, associations, numbers)
                if numbers.get("lost") or numbers.get("refused"):
                    complain(f"the log of {receiver.kind.title} ends: {receiver.log_end()}")


def combine(rounds):
    """The rounds of one receiver at one load as one set of numbers."""
    names = {name for numbers in rounds for name in numbers}
    return {
        name: (max if name in WORST else statistics.median)([n[name] for n in rounds if name in n]) for name in names
    }


def _warm_up(receiver, load):
    """A first image on four associations: nobody is measured while it still imports."""
    load.senders["ct"].send(receiver.port, 4, 4)
    _settle(receiver, load.sizes["ct"], 4)
    receiver.empty()


def _send(scenario, receiver, associations, step, load):
    os.sync()  # what an earlier receiver left unsynced is written now, not during this one's time
    count = scenario.count(receiver.kind.name, associations)
    before = cpu_seconds(receiver.pid)
    with PeakWatch(receiver.pid) if scenario.kind == "frames" else nullcontext() as watch:
        if scenario.sender == "storescu":
            first = sum(list(scenario.images.values())[:step])  # files of its own for each step: no duplicates
            answer = send_by_storescu(receiver.port, associations, load.files[first : first + count])
        else:
            answer = load.senders[scenario.kind].send(receiver.port, associations, count, scenario.patience)
    kept = _settle(receiver, load.sizes[scenario.kind], count)
    cpu = cpu_seconds(receiver.pid) - before
    size = load.sizes[scenario.kind]
    kept -= receiver.count_damaged(scenario.kind, size, load.digests[scenario.kind])
    receiver.empty()
    return _numbers(answer, count, kept, cpu, size) | ({"peak_mb": watch.peak} if watch else {})


def _settle(receiver, size, count):
    """Waits until every image is kept and indexed and the processor is quiet, at most 5 s; returns the images kept."""
    used, patience = cpu_seconds(receiver.pid), time.monotonic() + 5
    while True:
        time.sleep(0.1)
        kept, before, used = receiver.count_kept(size), used, cpu_seconds(receiver.pid)
        if (kept >= count and used - before <= 0.01) or time.monotonic() > patience:
            return kept


def _numbers(answer, count, kept, cpu, size):
    """lost: images that were not answered with success, or were and are not there as they were sent."""
    ok = answer["ok"] if "images_per_s" in answer or not answer["fail"] else min(kept, count)
    wall = answer["wall_s"]
    numbers = {name: value for name, value in answer.items() if name in UNITS}
    numbers["images_per_s"] = ok / wall
    numbers["mb_per_s"] = ok * size / wall / 1e6
    numbers["lost"] = count - min(ok, kept)
    numbers["cpu_ms"] = cpu / max(ok, 1) * 1e3
    return numbers


def _watch_idle(receiver, associations, load):
    """CPU of open, silent associations."""
    with load.senders["ct"].hold(receiver.port, associations) as opened:
        time.sleep(1)
        began, before = time.monotonic(), cpu_seconds(receiver.pid)
        time.sleep(load.idle_seconds)
        used = (cpu_seconds(receiver.pid) - before) / (time.monotonic() - began)
    return {"cpu_percent": used * 100, "refused": associations - opened}
