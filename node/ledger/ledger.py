"""The ledger's port: few verbs, each one atomic. `SqlLedger` says how."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from node.model.batch import Batch
from node.model.commitment import Commitment
from node.model.delivery import Delivery, DeliveryState, ResultObject
from node.model.job import Event, Job, State
from node.model.study import Finished, Instance, Quarantined, Study


class Ledger(Protocol):
    """The truth of this node. Times are seconds since the epoch, UTC."""

    # What came in

    def record(self, batch: Batch) -> list[tuple[Instance, str]]:
        """Writes `batch` in one step. An instance that is held with the same content adds its association alone;
        those whose uid is held with another content are not recorded and come back."""
        ...

    def lose_associations(self, listener: str, at: float) -> int:
        """Those that an earlier life of `listener` left open ended as "lost"; returns how many."""
        ...

    def add_quarantined(self, item: Quarantined) -> None:
        """Records bytes that were refused but kept."""
        ...

    def find_instance(self, sop_instance_uid: str) -> Instance | None:
        """The instance held under this uid."""
        ...

    def find_digests(self, study_uid: str) -> dict[str, str]:
        """SOP Instance UID -> digest of all that is held of a study."""
        ...

    def find_counts(self) -> dict[str, int]:
        """What the door counted since the ledger was made, by kind."""
        ...

    def count_instances(self) -> int:
        """How many instances are held."""
        ...

    def find_instances(self, study_uid: str, series_uids: Sequence[str] = ()) -> list[Instance]:
        """Of a study, or of some of its series; those whose files retention took are left out."""
        ...

    def find_paths(self) -> set[str]:
        """The spool paths of all instances that the ledger knows."""
        ...

    def find_quarantined(self) -> list[Quarantined]:
        """Newest first."""
        ...

    def remove_quarantined(self, path: str) -> None:
        """Its bytes are gone."""
        ...

    # Retention

    def find_finished(self, before: float, failed_before: float, limit: int) -> list[Finished]:
        """Studies with files whose last image came before `before` and whose jobs have all ended, oldest first; those
        with a FAILED job of their present version only when it came before `failed_before`."""
        ...

    def expire_study(self, study: Finished, failed_before: float, at: float) -> list[str]:
        """Its instances are without files from now on; the spool paths of those files. None when the study is no
        longer as it was found. The instances stay known: one that comes again with the same content gets its file back
        and opens no new version."""
        ...

    def find_expired(self, paths: Sequence[str]) -> set[str]:
        """Those of `paths` whose instances are without files."""
        ...

    # Storage commitment that peers ask of us

    def add_commitment(self, commitment: Commitment) -> None:
        """Remembers a request until it is reported."""
        ...

    def find_commitments(self, caller: str, due: float) -> list[Commitment]:
        """Of `caller`, not reported yet and to act on by `due`; oldest first."""
        ...

    def postpone_commitment(self, transaction_uid: str, next_at: float) -> None:
        """Another try at `next_at`; one more attempt."""
        ...

    def settle_commitment(self, transaction_uid: str) -> None:
        """It was reported, or nobody wants the report any more."""
        ...

    def find_classes(self, sop_instance_uids: Sequence[str]) -> dict[str, str]:
        """SOP Instance UID -> SOP Class UID of those that are held."""
        ...

    # Studies

    def find_studies(self, state: str = "") -> list[Study]:
        """Oldest first."""
        ...

    def find_associations(self, study_uid: str) -> list[tuple[str, float, float | None, str]]:
        """(caller, opened_at, ended_at, how) of every association that brought an image of the study, oldest first."""
        ...

    def close_study(self, study: Study, at: float, evidence: str, reason: str, jobs: Sequence[Job]) -> bool:
        """RECEIVING -> COMPLETE with its jobs, in one step; older versions' unfinished jobs are canceled.
        False when an image arrived since `study` was read: look again."""
        ...

    # Jobs

    def get_job(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        ...

    def find_jobs(self, study_uid: str = "", states: Sequence[State] = ()) -> list[Job]:
        """Newest first."""
        ...

    def count_jobs(self, states: Sequence[State]) -> int:
        """How many jobs are in one of `states`."""
        ...

    def find_history(self, job_id: str) -> list[Event]:
        """Oldest first."""
        ...

    def claim_job(self, job_id: str, worker: str, until: float, at: float) -> Job | None:
        """QUEUED -> CLAIMED under a new fencing token; None when somebody else was faster or it is past that."""
        ...

    def extend_lease(self, job_id: str, token: str, until: float) -> bool:
        """False when the lease is no longer ours."""
        ...

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
    ) -> Job:
        """Compare-and-set on (state, token) along the transition table; `objects` become deliveries in the same step.
        shares: destination -> SOP Instance UIDs of those that it gets; by default every destination gets all. Of a job
        that is CANCELED nothing is sent any more.
        Raises LostLease when the job is no longer as `job` says."""
        ...

    def find_overdue(self, now: float, rung_before: float) -> tuple[list[Job], list[Job]]:
        """(CLAIMED with a lease that ran out, QUEUED whose bell was last rung before `rung_before`)."""
        ...

    def mark_rung(self, job_ids: Sequence[str], at: float) -> None:
        """Remembers that a wake-up was sent."""
        ...

    # Deliveries

    def find_deliveries(
        self, job_id: str = "", destination: str = "", states: Sequence[DeliveryState] = (), due: float | None = None
    ) -> list[Delivery]:
        """In the order in which they were made; `due`: only those to act on by then."""
        ...

    def move_delivery(
        self,
        delivery: Delivery,
        to: DeliveryState,
        answer: str,
        next_at: float,
        *,
        asked: tuple[str, float] | None = None,
    ) -> bool:
        """Compare-and-set on the state; asked: (transaction uid, when) of a request to commit."""
        ...

    def replace_deliveries(self, refused: Delivery, answer: str, at: float) -> bool:
        """The destination refuses an object that has a substitute: this and every other of the job that has one become
        REPLACED, their substitutes PENDING at `at`, in one step. False when the delivery has none, or is no longer as
        it was read."""
        ...

    def find_objects(self, job_id: str) -> list[ResultObject]:
        """The result objects of a job, in the order they were made."""
        ...

    def find_transaction(self, transaction_uid: str) -> list[Delivery]:
        """The deliveries that a storage commitment request asked for."""
        ...
