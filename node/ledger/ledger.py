"""The ledger's port: few verbs, each one atomic. `SqlLedger` says how."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from node.ledger.counts import Counts
from node.ledger.evidence import Evidence
from node.ledger.hands import Hands
from node.ledger.hooks import Hooks
from node.ledger.lists import Lists
from node.ledger.notices import Notices
from node.ledger.submitted import Submitted
from node.ledger.told import Told
from node.model.batch import Batch
from node.model.circuit import Backlog, Circuit
from node.model.commitment import Commitment
from node.model.delivery import Delivery, DeliveryState, ResultObject
from node.model.job import Event, Gathering, Job, Priority, State
from node.model.study import Finished, Instance, Quarantined, Study


class Ledger(Lists, Counts, Hands, Evidence, Notices, Hooks, Submitted, Told, Protocol):
    """The truth of this node. Times are seconds since the epoch, UTC."""

    def look(self) -> int:
        """A number that is another one as soon as anybody wrote since the last look: cheap enough to ask for always."""
        ...

    # When the clock is set

    def move_waits(self, by: float, clock: Callable[[], float], lease: float) -> None:
        """The wall clock, which is read by `clock`, was set by `by` seconds a moment ago: in one step the times of all
        that waits move with it, but for tries that come early by a step forward, and each lease lasts `lease` seconds
        from now. The hours of a schedule are those of the clock, and stay."""
        ...

    def settle_waits(self, by: float, clock: Callable[[], float], longest: float) -> None:
        """After a step back by `by`: the same for that alone which lies in the future though it has passed, and for
        waits that end more than `longest` seconds from now."""
        ...

    def find_newest_wait(self) -> float:
        """When the newest of what waits began, 0 when nothing does."""
        ...

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

    def find_arrivals(self, after: int, limit: int) -> list[tuple[int, Instance]]:
        """Instances with a number above `after`, lowest first; numbers grow as instances are first recorded."""
        ...

    def find_new_objects(self, after: int, limit: int) -> list[tuple[int, ResultObject]]:
        """The same of result objects, without those of CANCELED jobs and without substitutes of others."""
        ...

    def count_present(self) -> dict[str, int]:
        """Study Instance UID -> number of its instances whose files are there."""
        ...

    def find_unknown(self, paths: Iterable[str]) -> list[str]:
        """Those of `paths` that are the spool path of no instance. They must come in order."""
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

    def forget_traffic(self, before: float, limit: int) -> int:
        """Who brought and who was asked for at most `limit` closed studies of which no file is kept and that nobody
        brought, or was to bring, since `before`; returns how many studies that were. Of each caller the last
        association stays."""
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
        """RECEIVING -> COMPLETE with its jobs, in one step. Where a job replaces earlier results of its route, its
        earlier jobs that are unfinished are canceled, and what waits to be sent of those that failed stays here.
        remarks: job id -> a line for the history of an earlier job. patient: key by which its patient is found.
        False when an image arrived since `study` was read: look again. A job may come FAILED, with its reason."""
        ...

    # Gathering

    def find_study(self, study_uid: str) -> Study | None:
        """The study with this uid."""
        ...

    def find_waiting(self) -> list[tuple[str, str, float]]:
        """(job id, study uid, since when) of all jobs that wait for what is gathered, oldest first."""
        ...

    def settle_gathering(
        self, job: Job, to: Gathering, priors: Sequence[str], notes: Sequence[str], at: float, seconds: float
    ) -> bool:
        """The job may run, with these priors and with `notes` added to its own. False when it waits no more."""
        ...

    def add_asking(self, study_uid: str, job_id: str, caller: str, at: float, until: float) -> None:
        """The job asks for images of this study, which `caller` (an AE title) may bring between `at` and `until`."""
        ...

    def end_asking(self, study_uid: str, job_id: str, at: float) -> None:
        """What the peer brings after `at` is no answer to the job any more."""
        ...

    def find_askings(self, study_uid: str) -> list[tuple[str, float, float]]:
        """(caller, from, until) of what was asked for of this study."""
        ...

    def reopen_sent(self) -> list[str]:
        """Studies that were gathered and that an association brought again outside of what was asked for are RECEIVING
        again, to be judged as any other; returns their uids."""
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

    def find_changes(self, after: int, limit: int) -> list[tuple[int, str]]:
        """(number, job id) of the lines of every job's history beyond `after`, in order."""
        ...

    def find_newest_change(self) -> int:
        """Number of the newest line of history, 0 when there is none."""
        ...

    def add_job(self, job: Job, station: str, text: str) -> bool:
        """A job of a study that is closed, beside those that closing it made. False, and nothing is written, when there
        is one of this id."""
        ...

    def claim_job(self, job_id: str, worker: str, until: float, at: float) -> Job | None:
        """QUEUED -> CLAIMED under a new fencing token; None when somebody else was faster, it is past that, or it waits
        for another job or for its hours."""
        ...

    def claim_next(
        self, lanes: Sequence[str], worker: str, until: float, at: float, *, waiting_since: float | None = None
    ) -> Job | None:
        """The most urgent QUEUED job of `lanes` -> CLAIMED; of equally urgent ones that whose study keeps the fewest
        workers busy, then the oldest. With `waiting_since` the oldest of those made before it, if there is one.
        None when no job may run now."""
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
        notify: Sequence[str] = (),
    ) -> Job:
        """Compare-and-set on (state, token) along the transition table; `objects` become deliveries in the same step,
        and of a job with destinations each peer in `notify` is to be told.
        shares: destination -> SOP Instance UIDs of those that it gets; by default every destination gets all. Of a job
        that is CANCELED nothing is sent any more, nor of one that is QUEUED again what it made before.
        Raises LostLease when the job is no longer as `job` says."""
        ...

    def find_stranded(self) -> list[tuple[str, State | None]]:
        """(id, state of the job that it comes after, None where there is none) of QUEUED jobs that wait in vain."""
        ...

    def find_overdue(self, now: float, rung_before: float) -> tuple[list[Job], list[Job]]:
        """(CLAIMED with a lease that ran out, QUEUED whose bell was last rung before `rung_before`)."""
        ...

    def count_free(self, now: float) -> dict[str, int]:
        """Lane -> how many jobs may be claimed at `now`; lanes without one are left out."""
        ...

    def set_priority(self, job: Job, priority: Priority, at: float, station: str = "operator", why: str = "") -> None:
        """Of a job that is QUEUED; its history says who asked for it and why. Raises LostLease when it no longer is
        QUEUED."""
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

    def find_due(self, destination: str, at: float, limit: int) -> list[Delivery]:
        """At most `limit` of those PENDING to be sent by `at`, oldest first. While a segmentation that may yet be
        replaced waits for a later time, what of its job has a substitute waits too."""
        ...

    def find_movable(self) -> list[Job]:
        """ENCODED and DELIVERED jobs whose deliveries have come so far, or fallen back so, that another state is true
        of them; newest first."""
        ...

    def move_delivery(
        self,
        delivery: Delivery,
        to: DeliveryState,
        answer: str,
        next_at: float,
        *,
        asked: tuple[str, float] | None = None,
        note: str = "",
        counted: bool = True,
    ) -> bool:
        """Compare-and-set on the state. asked: (transaction uid, when) of a request to commit, "" for a query; what
        becomes PENDING was never asked for. note: kept until the object is sent again. counted: a try of a PENDING one
        counts as an attempt."""
        ...

    def replace_deliveries(self, refused: Delivery, answer: str, at: float) -> bool:
        """The destination refuses an object that has a substitute: this and every other of the job that has one become
        REPLACED, their substitutes PENDING at `at`, in one step. False when the delivery has none, or is no longer as
        it was read."""
        ...

    def resend(self, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
        """The deliveries of `job` to `destinations` are PENDING again as if new, but for those that were REPLACED;
        returns how many. A job that is CONFIRMED, or FAILED because a destination refused it, becomes ENCODED.
        Raises LostLease when the job is no longer as `job` says."""
        ...

    def hurry_deliveries(self, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
        """What of `job` is PENDING for `destinations` is due at `at`; returns how many. text: for the job's history."""
        ...

    def find_objects(self, job_id: str) -> list[ResultObject]:
        """The result objects of a job, in the order they were made."""
        ...

    def find_transaction(self, transaction_uid: str) -> list[Delivery]:
        """The deliveries that a storage commitment request asked for, and that were not sent again since."""
        ...

    # Circuits

    def find_circuits(self) -> dict[str, Circuit]:
        """By peer; those of peers that were never tried are left out."""
        ...

    def fail_circuit(
        self, peer: str, at: float, answer: str, open_after: int, find_pause: Callable[[int], float]
    ) -> Circuit:
        """One more failure to reach `peer`: from `open_after` on its circuit is open, and the next try comes after
        find_pause(failures) seconds."""
        ...

    def close_circuit(self, peer: str, at: float, answer: str) -> Circuit:
        """The peer answered."""
        ...

    def claim_try(self, peer: str, at: float, until: float) -> bool:
        """True when the circuit is closed, or open and its next try due: that is the caller's then, and nobody else's
        before `until`."""
        ...

    def hurry_circuit(self, peer: str, at: float) -> None:
        """An open circuit is tried at `at`."""
        ...

    def find_backlogs(self) -> dict[str, Backlog]:
        """By destination; those for which nothing waits are left out."""
        ...

    def find_last_calls(self) -> dict[str, float]:
        """AE title -> when it last had an association with us that brought images."""
        ...
