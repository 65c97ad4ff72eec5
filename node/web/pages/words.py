"""Times and uids as people read them."""

import time
from datetime import UTC, datetime

SHORT = 12
"""Characters of a job id that tell it from any other, as the command line shows them."""


def say_when(at: float | None) -> str:
    """ "2024-03-13 12:00:05", UTC; "never" for none."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else "never"


def say_iso(at: float | None) -> str:
    """For the datetime attribute of <time>."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else ""


def say_span(seconds: float | None) -> str:
    """ "0.25 s", "42 s", "3 min 5 s", "2 h 10 min", "4 d 3 h"; "" for none."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.2f} s"
    whole = int(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"


def say_ago(at: float | None) -> str:
    """ "3 min 5 s ago", "in 10 s"; "never" for none."""
    if not at:
        return "never"
    past = time.time() - at
    if past < 0:
        return f"in {say_span(max(-past, 10.0))}"
    return f"{say_span(max(past, 10.0))} ago" if past >= 10 else "just now"


def shorten(identifier: str) -> str:
    """The beginning of a job id."""
    return identifier[:SHORT]


def say_size(size: float) -> str:
    """Bytes as "12.3 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
