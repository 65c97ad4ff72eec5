"""The audit's line on a bundle that is not run: what was wrong with which bytes. No patient is near."""

import logging
from pathlib import Path

from pipelines.errors import BundleError

audit = logging.getLogger("wetread.audit.bundles")


def record(error: BundleError, place: Path, sha256: str = "") -> BundleError:
    """Writes why the bundle at `place` is refused, sha256: of the file at fault; returns `error`, to be raised."""
    audit.error("bundle refused: %s, %s, sha256 %s: %s", type(error).__name__, place, sha256 or "unknown", error)
    return error
