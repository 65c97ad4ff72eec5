"""Logs on standard error, one line an event, the role in front. Libraries that may quote datasets are kept quiet."""

import logging
import sys
import warnings

from pydicom.config import IGNORE
from pydicom.config import settings as pydicom_settings

QUIET = ("pydicom", "pynetdicom", "highdicom", "kombu", "celery", "amqp", "uvicorn.access", "PIL", "sqlalchemy")


def set_up_logs(role: str, level: int = logging.INFO) -> None:
    """Configures this process's logs; call once, first."""
    logging.captureWarnings(capture=True)
    warnings.filterwarnings("ignore", module=r"pydicom|highdicom")
    warnings.filterwarnings("ignore", message=".*superuser privileges")
    # pydicom's remarks on an invalid value quote it, and it may be a name or a birth date.
    pydicom_settings.reading_validation_mode = IGNORE
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)-7s {role:6s} %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        force=True,
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
