"""A complete study becomes jobs: the row in the ledger first, the doorbell after.

In:  a study that is RECEIVING.   Out: the study COMPLETE, its jobs QUEUED, their bells rung.
A crash before the row leaves the study RECEIVING and it is judged again; a crash before the bell leaves a QUEUED job
whose bell housekeeping rings.
"""

import logging
import time
from pathlib import Path

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from node.config import Settings
from node.errors import CannotUnderstand
from node.inbound.assemble import Arrival, find_evidence
from node.inbound.match import match_study, read_samples
from node.ledger import Ledger
from node.model.job import Job
from node.model.study import Study, StudyState
from node.queue import Doorbell

log = logging.getLogger(__name__)


class Enqueuer:
    """Closes complete studies and rings for their jobs."""

    def __init__(self, settings: Settings, ledger: Ledger, bell: Doorbell) -> None:
        self._settings = settings
        self._ledger = ledger
        self._bell = bell

    def close_complete(self, now: float) -> int:
        """Judges every study that is RECEIVING; returns how many were closed."""
        return sum(self._close(study, now) for study in self._ledger.find_studies(StudyState.RECEIVING))

    def ring(self, jobs: list[Job]) -> bool:
        """Rings for `jobs` and remembers it; False when the broker is away (housekeeping tries again)."""
        if not jobs:
            return True
        try:
            self._bell.ring(jobs)
        except (OSError, OperationalError, RedisError) as error:
            log.warning("the broker is away, %d wake-ups wait: %s", len(jobs), type(error).__name__)
            return False
        self._ledger.mark_rung([job.id for job in jobs], time.time())
        return True

    def _close(self, study: Study, now: float) -> bool:
        arrivals = [Arrival(*row) for row in self._ledger.find_associations(study.study_uid)]
        evidence = find_evidence(study, arrivals, self._settings.completeness, now)
        if evidence is None:
            return False
        jobs, reason = self._match(study, {arrival.caller for arrival in arrivals}, now, evidence)
        if not self._ledger.close_study(study, now, evidence, reason, jobs):
            return False
        log.info("study %s %s; %s", study.study_uid, evidence, reason or f"{len(jobs)} jobs")
        self.ring(jobs)
        return True

    def _match(self, study: Study, callers: set[str], now: float, evidence: str) -> tuple[list[Job], str]:
        try:
            samples = read_samples(self._ledger.find_instances(study.study_uid), Path(self._settings.spool))
        except CannotUnderstand as error:
            return [], f"the study cannot be read back: {error}"
        return match_study(study, samples, callers, self._settings, now, evidence)
