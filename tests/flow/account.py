"""The reckoning after a storm: what was promised for each study, and what is there, counted on both sides."""

import re
from collections import Counter
from dataclasses import dataclass, field

from node.ledger import SqlLedger
from node.model.job import FINAL, Job, State
from node.model.study import StudyState
from tests.flow.modality import Sent
from tests.flow.orthanc import Orthanc

NAMED = re.compile(r"[A-Z][A-Za-z]+: \S")
"""A failure that says which error it was; an unforeseen one, a bug, does not look like that."""
RESULT_SET = Counter({"SEG": 1, "SR": 1})


@dataclass
class Account:
    """accepted: studies that the node took whole; every list names uids. node_uids, pacs_uids: result objects that the
    ledger says the PACS keeps, and that the PACS holds."""

    accepted: int = 0
    confirmed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    lost_images: list[str] = field(default_factory=list)
    lost_results: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    later_versions: int = 0
    older_sets: list[str] = field(default_factory=list)
    node_uids: set[str] = field(default_factory=set)
    pacs_uids: set[str] = field(default_factory=set)
    attempts: Counter[int] = field(default_factory=Counter)
    taken_again_s: list[float] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        """Images and result objects that somebody answered for and that are not there."""
        return self.lost_images + self.lost_results


def is_over(ledger: SqlLedger, sent: list[Sent]) -> bool:
    """True when every study is complete and each of its jobs final."""
    states = {study.study_uid: study.state for study in ledger.find_studies()}
    if any(states.get(one.study_uid) != StudyState.COMPLETE for one in sent):
        return False
    return all(job.state in FINAL for job in ledger.find_jobs())


def reckon(ledger: SqlLedger, spool, pacs: Orthanc, sent: list[Sent]) -> Account:
    """Every study in turn. spool: the folder below which the paths of the ledger lie."""
    account = Account()
    versions = {study.study_uid: (study.version, study.state) for study in ledger.find_studies()}
    for study in sent:
        account.accepted += bool(study.accepted_at)
        _check_images(account, ledger, spool, study)
        version, state = versions.get(study.study_uid, (0, None))
        jobs = ledger.find_jobs(study.study_uid)
        account.later_versions += version > 1
        if state != StudyState.COMPLETE or any(job.state not in FINAL for job in jobs):
            account.stuck.append(study.study_uid)
        _check_results(account, ledger, pacs, study.study_uid, jobs, version)
    return account


def _check_images(account: Account, ledger: SqlLedger, spool, study: Sent) -> None:
    held = {i.sop_instance_uid: spool / i.path for i in ledger.find_instances(study.study_uid)}
    if study.accepted_at:
        account.lost_images += [uid for uid in study.instances if uid not in held or not held[uid].is_file()]


def _check_results(
    account: Account, ledger: SqlLedger, pacs: Orthanc, study_uid: str, jobs: list[Job], version: int
) -> None:
    current = [job for job in jobs if job.version == version]
    there = _find_results(pacs, study_uid)
    account.pacs_uids |= set(there)
    of_older = {d.object.sop_instance_uid for job in jobs if job not in current for d in ledger.find_deliveries(job.id)}
    of_current: dict[str, str] = {}
    for job in current:
        deliveries = ledger.find_deliveries(job.id)
        of_current |= {d.object.sop_instance_uid: d.object.modality for d in deliveries}
        _check_end(account, job, Counter(d.object.modality for d in deliveries), set(of_current) - set(there))
        account.attempts[job.attempt] += 1
        account.taken_again_s += _find_returns(ledger, job)
    account.node_uids |= set(of_current) | (of_older & set(there))
    if set(there) & (of_older - set(of_current)):
        account.older_sets.append(study_uid)
    if len(current) > 1 or set(there) - set(of_current) - of_older:
        account.doubled.append(study_uid)
    if not current and study_uid not in account.stuck:
        account.lost_results.append(study_uid)


def _check_end(account: Account, job: Job, modalities: Counter, missing: set[str]) -> None:
    if job.state == State.CONFIRMED:
        account.confirmed += 1
        account.lost_results += sorted(missing)
        if modalities != RESULT_SET:
            account.doubled.append(job.study_uid)
    elif job.state in FINAL:
        account.failed[job.study_uid] = f"{job.state}: {job.reason}"
        if not NAMED.match(job.reason):
            account.unnamed.append(job.study_uid)


def _find_results(pacs: Orthanc, study_uid: str) -> dict[str, str]:
    """SOP Instance UID -> Modality of what is no image of the modality's."""
    found = {}
    for series in pacs.find_series(study_uid):
        if (modality := series["MainDicomTags"]["Modality"]) != "CT":
            for instance in pacs.get(f"/series/{series['ID']}/instances"):
                found[instance["MainDicomTags"]["SOPInstanceUID"]] = modality
    return found


def _find_returns(ledger: SqlLedger, job: Job) -> list[float]:
    """Seconds from each claim that came to nothing because its worker was gone to the next claim."""
    claims, lost = [], False
    returns = []
    for event in ledger.find_history(job.id):
        if event.state == State.QUEUED and event.text.startswith("WorkerLost"):
            lost = True
        if event.state == State.CLAIMED:
            if lost and claims:
                returns.append(event.at - claims[-1])
            claims.append(event.at)
            lost = False
    return returns
