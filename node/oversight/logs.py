"""Logs on standard error, one line an event, the role in front. Libraries that may quote datasets are kept quiet."""

import logging
import sys
import traceback
import warnings
from typing import Any

from pydicom.config import IGNORE
from pydicom.config import settings as pydicom_settings

from node.errors import WetreadError

WEB = ("uvicorn.access", "httpx", "httpcore")
QUIET = (*WEB, "pydicom", "pynetdicom", "highdicom", "kombu", "celery", "amqp", "PIL", "sqlalchemy")


CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
"""What a peer calls itself may hold anything; it must not move the cursor of whoever reads the log."""


class Formatter(logging.Formatter):
    """One event, one line. Of an exception only its kind and where it came from, on lines of their own: what libraries
    say may quote a dataset."""

    def format(self, record: logging.LogRecord) -> str:
        """Without control characters."""
        return super().format(record).translate(CONTROLS)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is the library's
        """The line of the event itself, which never breaks."""
        return super().formatMessage(record).replace("\n", "\\n")

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name is the library's
        """Frames and class; the text too where it is ours, written to be shown."""
        kind, error, trace = ei
        text = f": {error}" if isinstance(error, WetreadError) else ""
        return "".join(traceback.format_tb(trace)) + f"{kind.__name__}{text}"


def set_up_logs(role: str, level: int = logging.INFO) -> None:
    """Configures this process's logs; call once, first."""
    logging.captureWarnings(capture=True)
    warnings.filterwarnings("ignore", module=r"pydicom|highdicom")
    warnings.filterwarnings("ignore", message=".*superuser privileges")
    # pydicom's remarks on an invalid value quote it, and it may be a name or a birth date.
    pydicom_settings.reading_validation_mode = IGNORE
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(f"%(asctime)s %(levelname)-7s {role:6s} %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
