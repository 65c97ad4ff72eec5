"""Processes whose wall clock a test sets while they run, by libfaketime; the monotonic clock stays as it is."""

from pathlib import Path

DAY = 86400
LIBRARY = "libfaketimeMT.so.1"
SLEEP = """
import select, time
time.sleep = lambda seconds: select.select((), (), (), seconds) and None
"""
"""libfaketime 0.9.10 refuses what Python's own sleep asks of the monotonic clock (clock_nanosleep until a time)."""


def find_library() -> Path | None:
    """Where Debian's package `faketime` puts it."""
    return next(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"), None)


class WallClock:
    """As far from the true one as the test says. environment: of the processes that are to see it; they need `folder`
    on their path of modules."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment = {
            "LD_PRELOAD": str(find_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        (folder / "sitecustomize.py").write_text(SLEEP)
        self.set(0)

    def set(self, seconds: int) -> None:
        """It is ahead of the true one by so much from now on."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}")
        part.replace(self._file)
