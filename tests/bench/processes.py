"""What a process and its descendants have used, as /proc tells it."""

import os
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def find_tree(pid):
    """`pid` and all that descends from it and is alive."""
    found = [pid]
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(listing).split():
            found += find_tree(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of the tree, with that of children that ended and were waited for."""
    total = 0
    for member in find_tree(pid):
        fields = _read(Path(f"/proc/{member}/stat")).rpartition(")")[2].split()
        total += sum(int(n) for n in fields[11:15])
    return total / TICKS


def peak_megabytes(pid):
    """{pid: the most memory it ever had resident (VmHWM), MB} of the tree."""
    peaks = {}
    for member in find_tree(pid):
        for line in _read(Path(f"/proc/{member}/status")).splitlines():
            if line.startswith("VmHWM:"):
                peaks[member] = int(line.split()[1]) * 1024 / 1e6
    return peaks


class PeakWatch:
    """Looks every 20 ms, for children that end before anyone asks (storescp --fork). `peak`: MB of the largest one."""

    def __init__(self, pid):
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak = 0.0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._note()

    def _look(self):
        while not self._ended.wait(0.02):
            self._note()

    def _note(self):
        self.peak = max([self.peak, *peak_megabytes(self._pid).values()])


def _read(path):
    """The text of a file of /proc; "" when its process is gone."""
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
