"""Jobs and ledgers made for a test."""

import time
from dataclasses import replace

from node.ledger import SqlLedger
from node.model.batch import Batch, Ended, Opened
from node.model.job import Job, Priority, State
from node.model.study import Instance

JOB = Job(
    id="0" * 32,
    study_uid="1.2.3",
    series_uids=("1.2.3.1",),
    route="chest CT",
    pipeline="lung-seg",
    deliver=("pacs",),
    priority=Priority.ROUTINE,
    lane="gpu",
    version=1,
    state=State.QUEUED,
    attempt=0,
    token="",
    lease_until=0.0,
    reason="",
    notes=(),
    created_at=1000.0,
)


def make_instance(number=1, study_uid="1.2.3", digest=None, at=None, is_image=True):
    """An instance row; its digest follows its number unless given."""
    return Instance(
        sop_instance_uid=f"{study_uid}.1.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_uid=study_uid,
        series_uid=f"{study_uid}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        digest=digest or f"{number:064x}",
        size=100,
        path=f"kept/{number}",
        is_image=is_image,
        received_at=time.time() if at is None else at,
    )


def add_instance(ledger: SqlLedger, instance: Instance) -> bool:
    """Records one instance that no association brought; False when its uid is held with another content."""
    return not ledger.record(Batch(instances=[(instance, "")]))


def add_study(ledger: SqlLedger, study_uid="1.2.3", how="released", at=1000.0, number=1):
    """One association that brought one image and ended."""
    key = f"{study_uid}/{number}"
    ended = [Ended(key, how, at)] if how else []
    opened = [Opened(key, "listen-0", "SCU", at)]
    ledger.record(Batch(opened, [(make_instance(number, study_uid, at=at), key)], ended))
    return next(study for study in ledger.find_studies() if study.study_uid == study_uid)


def add_job(ledger: SqlLedger, **changes) -> Job:
    """A QUEUED job of a closed study."""
    job = replace(JOB, **changes)
    study = add_study(ledger, job.study_uid)
    assert ledger.close_study(study, 1001.0, "complete", "", [job])
    return ledger.get_job(job.id)
