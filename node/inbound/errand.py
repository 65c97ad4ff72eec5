"""What one job sends for: priors of its study, or images that its study lacks.

In:  a job that waits, and what its route gathers.   Out: studies that are here, and sentences for the report.
What is asked for as a prior is in the ledger before the request leaves. A crash leaves the job waiting: it sends again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from node.config import Settings
from node.dicom.header import read_header
from node.errors import CannotUnderstand, OutOfResources, PeerRefused, PeerUnreachable, PriorMissing
from node.inbound.fetch import Fetcher
from node.inbound.priors import (
    STRANGER,
    Subject,
    choose_series,
    choose_studies,
    find_age,
    find_earliest,
    find_fault,
    read_subject,
)
from node.inbound.side_door import SideDoor
from node.ledger import Ledger
from node.model.archive import Archive, FoundInstance, FoundSeries, FoundStudy
from node.model.job import Job
from node.model.study import Instance, StudyState
from node.sections import Gather

TRY_AGAIN = 3.0
"""Seconds between two tries of a peer that does not answer."""

LINGER = 3600.0
"""Seconds for which a peer that ran out of time may still bring what it was asked for."""

GRACE = 2.0
"""The same of a peer that said it is done, or that it will not."""

MORE = 3
"""Studies that turn out to be no priors by their images, before the search ends."""


@dataclass(slots=True)
class Found:
    """study_uids: of the priors, the newest first. notes: what people are told."""

    study_uids: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Errand:
    """One job's, over at `until` (epoch)."""

    def __init__(
        self, job: Job, rules: Gather, settings: Settings, ledger: Ledger, door: SideDoor, until: float
    ) -> None:
        self._job = job
        self._rules = rules
        self._settings = settings
        self._ledger = ledger
        self._fetcher = Fetcher(ledger, door, until)
        self._until = until

    def find_priors(self, archives: Sequence[Archive]) -> Found:
        """At most `priors` earlier studies, each from the first archive that has it."""
        found = Found()
        try:
            subject = self._read_subject()
        except PriorMissing as missing:
            return Found(notes=[str(missing)])
        for archive in archives:
            if len(found.study_uids) < self._rules.priors:
                found.notes += self._listen(archive, lambda one: self._search(one, subject, found))
        if not found.study_uids and not found.notes:
            found.notes.append(f"no prior found at {' or '.join(archive.name for archive in archives)}")
        return found

    def fetch_missing(self, archives: Sequence[Archive]) -> tuple[int, list[str]]:
        """Brings the images of the job's own study that are not here; how many came, and notes."""
        notes, before = list[str](), len(self._ledger.find_digests(self._job.study_uid))
        for archive in archives:
            notes += self._listen(archive, lambda one: self._fetcher.fetch_study(one, self._job.study_uid))
        came = len(self._ledger.find_digests(self._job.study_uid)) - before
        if came:
            notes.append(f"{came} images that were missing gathered")
        return came, notes or [f"nothing is missing at {' or '.join(archive.name for archive in archives)}"]

    def _listen(self, archive: Archive, ask: Callable[[Archive], object]) -> list[str]:
        """Asks, again and again while the peer does not answer and time is left; what it said instead, if it did."""
        while True:
            try:
                ask(archive)
            except (PeerRefused, OutOfResources) as refusal:
                return [f"{refusal}; without it"]
            except PeerUnreachable as silence:
                if time.monotonic() + TRY_AGAIN < self._until:
                    time.sleep(TRY_AGAIN)
                    continue
                wait = self._rules.wait.total_seconds()
                return [f"{archive.name} did not answer in {wait:.0f} s ({silence}); without it"]
            return []

    def _read_subject(self) -> Subject:
        for instance in self._ledger.find_instances(self._job.study_uid, self._job.series_uids):
            if instance.is_image:
                return read_subject(read_header(self._settings.spool / instance.path))
        raise PriorMissing("no prior sought: the images of this job are no longer in the spool")

    def _search(self, archive: Archive, subject: Subject, found: Found) -> None:
        """Adds to `found` what the archive has. A study that it refuses is noted, and the next one is tried."""
        modality = self._rules.modality or subject.modality
        dates = (find_earliest(subject, self._rules), subject.moment[0])
        answers = archive.find_studies(subject.patient_id, dates, modality, self._until)
        candidates = [s for s in choose_studies(answers, subject, self._rules) if s.study_uid not in found.study_uids]
        for study in candidates[: self._rules.priors + MORE]:
            if len(found.study_uids) >= self._rules.priors:
                return
            try:
                note = self._bring(archive, study, subject)
            except (PeerRefused, OutOfResources) as refusal:
                self._ledger.end_asking(study.study_uid, self._job.id, time.time() + GRACE)
                note = f"{refusal}; without it"
                found.notes += [note] if note not in found.notes else []
                continue
            if note:
                found.study_uids.append(study.study_uid)
                found.notes.append(note)

    def _bring(self, archive: Archive, study: FoundStudy, subject: Subject) -> str:
        """What to say of the prior once it is here; "" when it is none."""
        age = find_age(study.date, subject.moment[0])
        if self._is_held_for_itself(study.study_uid):
            return f"prior of {age} was here already" if self._is_prior(study.study_uid, subject, ()) else ""
        chosen = choose_series(archive.find_series(study.study_uid, self._until), study, subject, self._rules)
        wanted = {one.series_uid: self._list(archive, study, one) for one in chosen}
        title, now = archive.title or archive.name[:16], time.time()
        until = now + self._until - time.monotonic() + LINGER
        self._ledger.add_asking(study.study_uid, self._job.id, title, now, until)
        for series_uid, instances in wanted.items():
            self._fetcher.fetch_series(archive, study.study_uid, series_uid, instances)
        count, lacking = (sum(map(len, lists)) for lists in (wanted.values(), self._list_lacking(study, wanted)))
        self._ledger.end_asking(study.study_uid, self._job.id, time.time() + GRACE)
        if count and lacking == count:
            raise PeerRefused(f"{archive.name} sent none of the {count} images that it has of a prior")
        if not count or not self._is_prior(study.study_uid, subject, list(wanted)):
            return ""
        told = f"prior of {age} gathered from {archive.name}"
        return told + (f", {lacking} of its images did not come" if lacking else "")

    def _is_held_for_itself(self, study_uid: str) -> bool:
        """A study that somebody sent us is used as it is: what we would add to it might open its next version."""
        study = self._ledger.find_study(study_uid)
        if study is None or self._ledger.find_askings(study_uid):
            return False
        return study.state == StudyState.RECEIVING or any(self._find_images(study_uid))

    def _list_lacking(
        self, study: FoundStudy, wanted: Mapping[str, Sequence[FoundInstance]]
    ) -> list[list[FoundInstance]]:
        return [self._fetcher.find_lacking(study.study_uid, instances) for instances in wanted.values()]

    def _list(self, archive: Archive, study: FoundStudy, series: FoundSeries) -> list[FoundInstance]:
        return archive.find_instances(study.study_uid, series.series_uid, self._until)

    def _find_images(self, study_uid: str, series_uids: Sequence[str] = ()) -> Iterator[Instance]:
        return (one for one in self._ledger.find_instances(study_uid, series_uids) if one.is_image)

    def _is_prior(self, study_uid: str, subject: Subject, series_uids: Sequence[str]) -> bool:
        """True when the images that are here say so themselves: one of each series is asked."""
        samples: dict[str, Instance] = {}
        for one in self._find_images(study_uid, series_uids):
            samples.setdefault(one.series_uid, one)
        faults = [self._find_fault(one, subject) for one in samples.values()]
        return None in faults and STRANGER not in faults

    def _find_fault(self, instance: Instance, subject: Subject) -> str | None:
        try:
            return find_fault(read_header(self._settings.spool / instance.path), subject, self._rules)
        except (CannotUnderstand, FileNotFoundError):
            return "not to be read"
