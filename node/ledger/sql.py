"""The ledger in SQL: each verb one transaction, each change of state a compare-and-set."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update

from node.errors import LostLease
from node.ledger import arrivals, expiry, kept, traffic
from node.ledger import tables as t
from node.ledger.changes import ChangeLedger
from node.ledger.circuits import CircuitLedger
from node.ledger.claims import ClaimLedger
from node.ledger.counts import CountLedger
from node.ledger.deliveries import DeliveryLedger, add_objects, drop_pending
from node.ledger.dependencies import DependencyLedger
from node.ledger.engine import open_engine
from node.ledger.expectations import ExpectationLedger
from node.ledger.gathering import GatheringLedger, ask_again
from node.ledger.jobs import get_job, remember, to_job
from node.ledger.listing import ListingLedger, add_indexes
from node.ledger.messages import MessageLedger, announce
from node.ledger.notices import NoticeLedger, add_notices
from node.ledger.record import find_classes, record_batch
from node.ledger.steps import StepLedger
from node.ledger.studies import to_study
from node.ledger.submissions import SubmissionLedger
from node.ledger.versions import note_late, supersede
from node.ledger.waits import WaitLedger
from node.ledger.watch import Watch
from node.ledger.webhooks import HookLedger
from node.ledger.workers import WorkerLedger
from node.model.batch import Batch
from node.model.commitment import Commitment
from node.model.delivery import ResultObject
from node.model.job import FINAL, TRANSITIONS, Event, Job, State
from node.model.study import Finished, Instance, Quarantined, Study, StudyState


class SqlLedger(
    ClaimLedger,
    ChangeLedger,
    DependencyLedger,
    ExpectationLedger,
    StepLedger,
    NoticeLedger,
    GatheringLedger,
    DeliveryLedger,
    CircuitLedger,
    CountLedger,
    WorkerLedger,
    ListingLedger,
    MessageLedger,
    HookLedger,
    SubmissionLedger,
    WaitLedger,
):
    """`Ledger` on one database. Safe to use from many threads and processes at once."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine(url)
        add_indexes(self._engine)
        self._reader: Engine = self._engine.execution_options(read_only=True)
        self._watch = Watch(self._engine.url)

    def close(self) -> None:
        """Gives the connections back."""
        self._watch.close()
        self._engine.dispose()

    def look(self) -> int:
        """See Ledger.look."""
        return self._watch.look()

    # What came in

    def record(self, batch: Batch) -> list[tuple[Instance, str]]:
        with self._engine.begin() as db:
            return record_batch(db, batch)

    def lose_associations(self, listener: str, at: float) -> int:
        a = t.association
        with self._engine.begin() as db:
            left_open = (a.c.listener == listener) & a.c.ended_at.is_(None)
            return db.execute(update(a).where(left_open).values(ended_at=at, how="lost")).rowcount

    def add_quarantined(self, item: Quarantined) -> None:
        q = t.quarantine
        with self._engine.begin() as db:
            db.execute(delete(q).where(q.c.path == item.path))
            db.execute(insert(q).values({c.name: getattr(item, c.name) for c in q.columns}))

    def find_instance(self, sop_instance_uid: str) -> Instance | None:
        query = select(t.instance).where(t.instance.c.sop_instance_uid == sop_instance_uid)
        with self._reader.connect() as db:
            row = db.execute(query).first()
            return Instance(**row._mapping) if row else None

    def find_digests(self, study_uid: str) -> dict[str, str]:
        i = t.instance
        with self._reader.connect() as db:
            rows = db.execute(select(i.c.sop_instance_uid, i.c.digest).where(i.c.study_uid == study_uid))
            return {row.sop_instance_uid: row.digest for row in rows}

    def find_counts(self) -> dict[str, int]:
        with self._reader.connect() as db:
            return {row.what: row.number for row in db.execute(select(t.door))}

    def count_instances(self) -> int:
        query = select(func.count()).select_from(t.instance).where(t.instance.c.expired_at.is_(None))
        with self._reader.connect() as db:
            return int(db.execute(query).scalar_one())

    def find_instances(self, study_uid: str, series_uids: Sequence[str] = ()) -> list[Instance]:
        i = t.instance
        present = (i.c.study_uid == study_uid) & i.c.expired_at.is_(None)
        query = select(i).where(present).order_by(i.c.received_at)
        if series_uids:
            query = query.where(i.c.series_uid.in_(series_uids))
        with self._reader.connect() as db:
            return [Instance(**row._mapping) for row in db.execute(query)]

    def find_arrivals(self, after: int, limit: int) -> list[tuple[int, Instance]]:
        with self._reader.connect() as db:
            return arrivals.find_arrivals(db, after, limit)

    def find_new_objects(self, after: int, limit: int) -> list[tuple[int, ResultObject]]:
        with self._reader.connect() as db:
            return arrivals.find_new_objects(db, after, limit)

    def count_present(self) -> dict[str, int]:
        with self._reader.connect() as db:
            return arrivals.count_present(db)

    def find_unknown(self, paths: Iterable[str]) -> list[str]:
        with self._reader.connect() as db:
            return kept.find_unknown(db, paths)

    def find_quarantined(self) -> list[Quarantined]:
        with self._reader.connect() as db:
            rows = db.execute(select(t.quarantine).order_by(t.quarantine.c.at.desc()))
            return [Quarantined(**row._mapping) for row in rows]

    def remove_quarantined(self, path: str) -> None:
        with self._engine.begin() as db:
            db.execute(delete(t.quarantine).where(t.quarantine.c.path == path))

    # Retention

    def find_finished(self, before: float, failed_before: float, limit: int) -> list[Finished]:
        with self._reader.connect() as db:
            return expiry.find_finished(db, before, failed_before, limit)

    def expire_study(self, study: Finished, failed_before: float, at: float) -> list[str]:
        with self._engine.begin() as db:
            return expiry.expire_study(db, study, failed_before, at)

    def find_expired(self, paths: Sequence[str]) -> set[str]:
        with self._reader.connect() as db:
            return expiry.find_expired(db, paths)

    def forget_traffic(self, before: float, limit: int) -> int:
        with self._engine.begin() as db:
            return traffic.forget_traffic(db, before, limit)

    # Storage commitment that peers ask of us

    def add_commitment(self, commitment: Commitment) -> None:
        c = t.commitment
        row = {"references": [list(pair) for pair in commitment.references]}
        row |= {n: getattr(commitment, n) for n in ("transaction_uid", "caller", "asked_at", "next_at", "attempts")}
        with self._engine.begin() as db:
            db.execute(delete(c).where(c.c.transaction_uid == commitment.transaction_uid))
            db.execute(insert(c).values(row))

    def find_commitments(self, caller: str, due: float) -> list[Commitment]:
        c = t.commitment
        query = select(c).where((c.c.caller == caller) & (c.c.next_at <= due)).order_by(c.c.asked_at)
        with self._reader.connect() as db:
            rows = [dict(row._mapping) for row in db.execute(query)]
        return [Commitment(**row | {"references": tuple((a, b) for a, b in row["references"])}) for row in rows]

    def postpone_commitment(self, transaction_uid: str, next_at: float) -> None:
        c = t.commitment
        with self._engine.begin() as db:
            statement = update(c).where(c.c.transaction_uid == transaction_uid)
            db.execute(statement.values(next_at=next_at, attempts=c.c.attempts + 1))

    def settle_commitment(self, transaction_uid: str) -> None:
        with self._engine.begin() as db:
            db.execute(delete(t.commitment).where(t.commitment.c.transaction_uid == transaction_uid))

    def find_classes(self, sop_instance_uids: Sequence[str]) -> dict[str, str]:
        with self._reader.connect() as db:
            return find_classes(db, sop_instance_uids)

    # Studies

    def find_studies(self, state: str = "") -> list[Study]:
        query = select(t.study).order_by(t.study.c.first_at)
        if state:
            query = query.where(t.study.c.state == state)
        with self._reader.connect() as db:
            return [to_study(row) for row in db.execute(query)]

    def find_associations(self, study_uid: str) -> list[tuple[str, float, float | None, str]]:
        a, link = t.association, t.association_study
        query = (
            select(a.c.caller, a.c.opened_at, a.c.ended_at, a.c.how)
            .join(link, link.c.association_id == a.c.id)
            .where(link.c.study_uid == study_uid)
            .order_by(a.c.opened_at)
        )
        with self._reader.connect() as db:
            return [(row.caller, row.opened_at, row.ended_at, row.how) for row in db.execute(query)]

    def close_study(
        self,
        study: Study,
        at: float,
        evidence: str,
        reason: str,
        jobs: Sequence[Job],
        remarks: Mapping[str, str] | None = None,
        patient: str = "",
    ) -> bool:
        s = t.study
        with self._engine.begin() as db:
            as_read = (s.c.study_uid == study.study_uid) & (s.c.state == StudyState.RECEIVING)
            as_read &= (s.c.version == study.version) & (s.c.last_at == study.last_at)
            values = {"state": StudyState.COMPLETE, "closed_at": at, "evidence": evidence, "reason": reason}
            values |= {"waits": ""} | ({"patient": patient} if patient else {})
            if not db.execute(update(s).where(as_read).values(values)).rowcount:
                return False
            supersede(db, study, jobs, at)
            note_late(db, remarks or {}, at)
            for job in jobs:
                row = {c.name: getattr(job, c.name) for c in t.job.columns if c.name != "rung_at"}
                db.execute(insert(t.job).values(row | {"rung_at": 0.0}))
                remember(db, job.id, at, job.state, "match", job.reason or evidence, {"complete": at - study.last_at})
            return True

    # Jobs

    def get_job(self, job_id: str) -> Job:
        with self._reader.connect() as db:
            return get_job(db, job_id)

    def find_jobs(self, study_uid: str = "", states: Sequence[State] = ()) -> list[Job]:
        query = select(t.job).order_by(t.job.c.created_at.desc())
        if study_uid:
            query = query.where(t.job.c.study_uid == study_uid)
        if states:
            query = query.where(t.job.c.state.in_(states))
        with self._reader.connect() as db:
            return [to_job(row) for row in db.execute(query)]

    def count_jobs(self, states: Sequence[State]) -> int:
        query = select(func.count()).select_from(t.job).where(t.job.c.state.in_(states))
        with self._reader.connect() as db:
            return int(db.execute(query).scalar_one())

    def find_history(self, job_id: str) -> list[Event]:
        h = t.history
        query = select(h.c.at, h.c.state, h.c.station, h.c.text, h.c.seconds).where(h.c.job_id == job_id)
        with self._reader.connect() as db:
            rows = db.execute(query.order_by(h.c.id))
            return [Event(r.at, State(r.state), r.station, r.text, dict(r.seconds)) for r in rows]

    def move_job(
        self,
        job: Job,
        to: State,
        at: float,
        station: str,
        text: str = "",
        *,
        seconds: Mapping[str, float] | None = None,
        objects: Sequence[ResultObject] = (),
        shares: Mapping[str, Sequence[str]] | None = None,
        notify: Sequence[str] = (),
    ) -> Job:
        if to not in TRANSITIONS[job.state]:
            raise ValueError(f"job {job.id}: no transition from {job.state} to {to}")
        j = t.job
        with self._engine.begin() as db:
            as_read = (j.c.id == job.id) & (j.c.state == job.state) & (j.c.token == job.token)
            values: dict[str, Any] = {"state": to, "reason": text if to in FINAL and to != State.CONFIRMED else ""}
            if to != State.CLAIMED:
                values |= {"token": "", "lease_until": 0.0, "progress": 0.0, "activity": ""}
            if to == State.QUEUED:
                values |= {"rung_at": 0.0}
                if job.state == State.FAILED:
                    values |= {"attempt": 0} | ask_again(j, at)
                    as_read &= j.c.superseded_by == ""
            if not db.execute(update(j).where(as_read).values(values)).rowcount:
                raise LostLease(f"job {job.id} is no longer {job.state} under this lease; its {to} is thrown away")
            if to in {State.CANCELED, State.QUEUED}:  # that an attempt did not run is no news any more
                drop_pending(db, job.id)
            add_objects(db, job, objects, shares, at)
            add_notices(db, job, notify, at)
            announce(db, job, to, at)
            remember(db, job.id, at, to, station, text, seconds or {})
            return get_job(db, job.id)
