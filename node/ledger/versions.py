"""Versions of a result: what a job of a later version makes of the earlier ones, and which of their objects it follows.

Inside a study the route tells what is a version of what. Of an earlier version counts what reached a destination.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, update

from node.dicom.authorship import Predecessor
from node.ledger import tables as t
from node.ledger.deliveries import drop_pending
from node.ledger.jobs import remember
from node.ledger.ledger import Ledger
from node.model.delivery import DeliveryState, Kind, ResultObject
from node.model.job import Job, Late, State
from node.model.study import Study

OPEN = (State.QUEUED, State.CLAIMED, State.ENCODED)
CANCELED = {"state": State.CANCELED, "token": "", "progress": 0.0, "activity": ""}
ARRIVED = frozenset({DeliveryState.SENT, DeliveryState.KEPT})


def supersede(db: Connection, study: Study, jobs: Sequence[Job], at: float) -> None:
    """Earlier jobs of the routes whose results `jobs` replace: those that have not reached a PACS as a whole never
    will, what is not sent of them stays here, nor is it said any more that one did not run; all of them name the job
    that speaks for the study now."""
    for job in jobs:
        if job.late == Late.REPLACE:
            _supersede(db, study, job, at)


def _supersede(db: Connection, study: Study, job: Job, at: float) -> None:
    j = t.job
    earlier = (j.c.study_uid == study.study_uid) & (j.c.route == job.route) & (j.c.version < job.version)
    text = f"superseded by version {job.version} of the study"
    for job_id in db.execute(select(j.c.id).where(earlier & j.c.state.in_(OPEN))).scalars().all():
        db.execute(update(j).where(j.c.id == job_id).values(CANCELED | {"reason": text}))
        drop_pending(db, job_id)
        remember(db, job_id, at, State.CANCELED, "match", text, {})
    for job_id in db.execute(select(j.c.id).where(earlier & (j.c.state == State.FAILED))).scalars().all():
        drop_pending(db, job_id)
    db.execute(update(j).where(earlier & (j.c.superseded_by == "")).values(superseded_by=job.id))


def note_late(db: Connection, remarks: Mapping[str, str], at: float) -> None:
    """Job id -> why late images made no new job of its route, as a line of its history."""
    j = t.job
    for job_id, text in remarks.items():
        state = db.execute(select(j.c.state).where(j.c.id == job_id)).scalar()
        if state is not None:
            remember(db, job_id, at, State(state), "match", text, {})


def find_predecessors(job: Job, ledger: Ledger) -> tuple[Predecessor, ...]:
    """Of each kind the objects of the latest earlier version of which any reached a destination; of a route without
    destinations, of one that is CONFIRMED. None of a job that replaces nothing."""
    if job.late != Late.REPLACE or job.version == 1:
        return ()
    earlier = [one for one in ledger.find_jobs(job.study_uid) if one.route == job.route and one.version < job.version]
    earlier.sort(key=lambda one: one.version)
    arrived = {one.version: (one, _find_arrived(one, ledger)) for one in earlier}
    began: dict[str, float] = {}
    latest: dict[Kind, list[Predecessor]] = {}
    for version, (one, objects) in arrived.items():
        for item in objects:
            began.setdefault(item.series_uid, one.created_at)
        for kind in {item.kind for item in objects}:
            latest[kind] = [_to_predecessor(item, one, version, began) for item in objects if item.kind == kind]
    return tuple(found for kind in sorted(latest) for found in latest[kind])


def _find_arrived(job: Job, ledger: Ledger) -> list[ResultObject]:
    objects = [item for item in ledger.find_objects(job.id) if item.series_uid]  # as of old they cannot be named
    if not job.deliver:
        return objects if job.state == State.CONFIRMED else []
    uids = {one.object.sop_instance_uid for one in ledger.find_deliveries(job.id) if one.state in ARRIVED}
    return [item for item in objects if item.sop_instance_uid in uids]


def _to_predecessor(item: ResultObject, job: Job, version: int, began: Mapping[str, float]) -> Predecessor:
    return Predecessor(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        series_uid=item.series_uid,
        study_uid=job.study_uid,
        frame_of_reference_uid=item.frame_of_reference_uid,
        modality=item.modality,
        job_id=job.id,
        version=version,
        began=began[item.series_uid],
    )
