"""Brings what an archive has of a study and we have not.

In:  a study uid, and the archive to ask.   Out: files in the spool, rows in the ledger, and how many are still missing.
A crash leaves what came; who asks again is given the rest.
"""

import time
from collections.abc import Sequence

from node.inbound.side_door import SideDoor
from node.ledger import Ledger
from node.ledger.gathering import GATHERED, SUBMITTED
from node.model.archive import Archive, FoundInstance
from node.model.study import StudyState

ROWS = 5.0
"""Seconds for the rows of what the door took to reach the ledger."""

NO_IMAGES = {"SR", "SEG", "KO", "PR", "DOC", "REG", "RTSTRUCT", "RTPLAN", "RTDOSE", "AU", "FID", "RWV"}


def is_own(ledger: Ledger, study_uid: str) -> bool:
    """True for a study that somebody sent: what is missing of it makes its next version, for all routes."""
    study = ledger.find_study(study_uid)
    if study is None:
        return False
    if study.state == StudyState.RECEIVING:
        return not ledger.find_askings(study_uid)
    return study.reason != GATHERED and study.evidence != SUBMITTED


class Fetcher:
    """until: when it is over, on the monotonic clock."""

    def __init__(self, ledger: Ledger, door: SideDoor, until: float) -> None:
        self._ledger = ledger
        self._door = door
        self.until = until

    def fetch_study(self, archive: Archive, study_uid: str) -> tuple[int, int]:
        """(how many images the archive has of it, how many of them are not here now). Raises like `Archive`."""
        wanted: dict[str, FoundInstance] = {}
        series = {one.series_uid for one in archive.find_series(study_uid, self.until) if one.modality not in NO_IMAGES}
        for series_uid in sorted(series - {""}):
            found = {one.sop_instance_uid: one for one in archive.find_instances(study_uid, series_uid, self.until)}
            self.fetch_series(archive, study_uid, series_uid, list(found.values()))
            wanted |= found
        return len(wanted), len(self.find_lacking(study_uid, list(wanted.values())))

    def fetch_series(self, archive: Archive, study_uid: str, series_uid: str, wanted: Sequence[FoundInstance]) -> None:
        """Brings those of `wanted` that are not here."""
        lacking = self.find_lacking(study_uid, wanted)
        if not lacking:
            return
        whole = len(lacking) == len(wanted)
        with self._door.open(archive.title or archive.name[:16], study_uid) as sink:
            archive.fetch(study_uid, series_uid, lacking, sink, self.until, whole=whole)
        patience = time.monotonic() + ROWS
        while self.find_lacking(study_uid, wanted) and time.monotonic() < patience:
            time.sleep(0.1)

    def find_lacking(self, study_uid: str, wanted: Sequence[FoundInstance]) -> list[FoundInstance]:
        """Those of `wanted` whose files are not here."""
        held = {instance.sop_instance_uid for instance in self._ledger.find_instances(study_uid)}
        return [instance for instance in wanted if instance.sop_instance_uid not in held]
