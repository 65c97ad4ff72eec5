"""The ledger against the machine of states: verbs in any order, by callers who read long ago, keep what is promised.

The model is a handful of dicts. It says of every call whether it must succeed; the invariants say what must be true
after it, as every process of a node would see it.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule
from pydicom import Dataset
from pytest import raises

from node.errors import LostLease
from node.ledger import SqlLedger
from node.model.delivery import Delivery, DeliveryState, Kind, ResultObject
from node.model.job import FINAL, TRANSITIONS, Job, State
from node.model.study import Study, StudyState
from node.outbound.confirm import settle_jobs, settle_report
from node.sections import Deliver
from tests.jobs import JOB, add_instance, make_instance

SEG, LABEL_MAP, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.88.34"
STUDIES = ("1.2.10", "1.2.11")
LEASE = 5.0
PATIENT = Deliver(give_up=timedelta(days=99_999))
KEPT = {DeliveryState.KEPT, DeliveryState.REPLACED}
BY_HAND = [state for state in State if state not in {State.CLAIMED, State.DELIVERED, State.CONFIRMED}]
"""Where `move_job` is called from outside the ledger; claims are made by `claim_job`, the last two by `settle_jobs`."""


@dataclass
class Known:
    """What the model knows of a job."""

    state: State
    token: str
    lease_until: float
    version: int


class LedgerMachine(RuleBasedStateMachine):
    """Every rule may be called with what was read long ago."""

    studies = Bundle("studies")
    jobs = Bundle("jobs")
    deliveries = Bundle("deliveries")

    def __init__(self):
        super().__init__()
        self.ledger = SqlLedger("sqlite://")
        self.now = 1000.0
        self.known: dict[str, Known] = {}
        self.versions: dict[str, tuple[int, StudyState, float]] = {}
        self.images: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.transactions = 0

    def teardown(self):
        self.ledger.close()

    # What came in

    @rule(uid=st.sampled_from(STUDIES), is_new=st.booleans(), is_image=st.booleans())
    def record(self, uid, is_new, is_image):
        """A new object, or one that is held."""
        self.now += 1
        if is_new or not self.images[uid]:
            self.images[uid] += 1
            version, state, _ = self.versions.get(uid, (1, StudyState.RECEIVING, self.now))
            if state == StudyState.RECEIVING or is_image:
                reopened = state == StudyState.COMPLETE
                self.versions[uid] = (version + reopened, StudyState.RECEIVING, self.now)
        assert add_instance(self.ledger, make_instance(self.images[uid], uid, at=self.now, is_image=is_image))

    @rule(uid=st.sampled_from(STUDIES))
    def record_another_content(self, uid):
        """Under a uid that is held: refused, and nothing changes."""
        if self.images[uid]:
            assert not add_instance(self.ledger, make_instance(1, uid, digest="f" * 64, at=self.now))

    @rule(target=studies)
    def look_at_studies(self):
        return multiple(*self.ledger.find_studies())

    @rule(target=jobs, study=studies, routes=st.integers(0, 2), destinations=st.integers(0, 2))
    def close(self, study: Study, routes, destinations):
        """Only as it was read, and then older versions end."""
        self.now += 1
        version, state, last = self.versions[study.study_uid]
        fits = state == StudyState.RECEIVING and (study.version, study.last_at) == (version, last)
        made = [self._make_job(study, number, destinations) for number in range(routes)]
        assert self.ledger.close_study(study, self.now, "complete", "", made) is fits
        if not fits:
            return multiple()
        self.versions[study.study_uid] = (version, StudyState.COMPLETE, last)
        for job in self.ledger.find_jobs(study.study_uid):
            known = self.known.get(job.id)
            if known and known.version < version and known.state in {State.QUEUED, State.CLAIMED, State.ENCODED}:
                known.state, known.token = State.CANCELED, ""
        for job in made:
            self.known[job.id] = Known(State.QUEUED, "", 0.0, version)
        return multiple(*(self.ledger.get_job(job.id) for job in made))

    def _make_job(self, study: Study, number: int, destinations: int) -> Job:
        name = f"{study.study_uid}.{study.version}.{number}"
        deliver = ("pacs", "archive")[:destinations]
        return replace(
            JOB, id=name, study_uid=study.study_uid, version=study.version, deliver=deliver, created_at=self.now
        )

    # Jobs

    @rule(target=jobs, job=jobs)
    def read(self, job: Job):
        return self.ledger.get_job(job.id)

    @rule(target=jobs, job=jobs)
    def claim(self, job: Job):
        """Exactly when it is QUEUED, under a token that nobody ever had."""
        self.now += 1
        known = self.known[job.id]
        claimed = self.ledger.claim_job(job.id, "worker", self.now + LEASE, self.now)
        assert (claimed is not None) == (known.state == State.QUEUED)
        if claimed is None:
            return multiple()
        assert claimed.token
        assert claimed.token not in self.tokens
        self.tokens.add(claimed.token)
        known.state, known.token, known.lease_until = State.CLAIMED, claimed.token, self.now + LEASE
        return claimed

    @rule(job=jobs)
    def extend(self, job: Job):
        """An old token extends nothing."""
        known = self.known[job.id]
        ours = known.state == State.CLAIMED and known.token == job.token
        assert self.ledger.extend_lease(job.id, job.token, self.now + LEASE) is ours
        if ours:
            known.lease_until = self.now + LEASE

    @rule(target=jobs, job=jobs, to=st.sampled_from(BY_HAND), with_map=st.booleans())
    def move(self, job: Job, to: State, with_map):
        """Along the table, by whom nobody overtook; else nothing is written."""
        known = self.known[job.id]
        if job.state == State.FAILED and known.version != self.versions[job.study_uid][0]:
            return multiple()  # whether an operator may requeue an overtaken version is not this table's business
        objects = self._make_objects(job, with_map) if to == State.ENCODED else ()
        before = self.ledger.find_deliveries(job.id), self.ledger.find_history(job.id)
        problem = ValueError if to not in TRANSITIONS[job.state] else LostLease
        if problem is ValueError or (known.state, known.token) != (job.state, job.token):
            with raises(problem):
                self.ledger.move_job(job, to, self.now, "test", "Problem: why", objects=objects)
            assert (self.ledger.find_deliveries(job.id), self.ledger.find_history(job.id)) == before
            return multiple()
        replaced = {item.substitute for item in objects}
        first = [item.sop_instance_uid for item in objects if item.sop_instance_uid not in replaced]
        shares = dict.fromkeys(job.deliver, first)
        moved = self.ledger.move_job(job, to, self.now, "test", "Problem: why", objects=objects, shares=shares)
        known.state, known.token = to, ""
        assert (moved.state, moved.token) == (to, "")
        return moved

    def _make_objects(self, job: Job, with_map: bool) -> list[ResultObject]:
        """The same for every run of a job. With a label map there is what goes in its place."""

        def make(number, sop_class, kind, substitute=0):
            other = f"{job.id}.{substitute}" if substitute else ""
            return ResultObject(f"{job.id}.{number}", sop_class, "", f"{number}.dcm", kind, other)

        plain = [make(1, SEG, Kind.SEGMENTATION), make(2, SR, Kind.REPORT)]
        return [make(3, LABEL_MAP, Kind.SEGMENTATION, 1), *plain] if with_map else plain

    @rule(seconds=st.sampled_from([1.0, LEASE, 3 * LEASE]))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule(target=jobs)
    def take_back(self):
        """Those whose lease ran out and no others; what the silent worker writes later is thrown away (see `move`)."""
        lost, _ = self.ledger.find_overdue(self.now, 0.0)
        late = {key for key, k in self.known.items() if k.state == State.CLAIMED and k.lease_until < self.now}
        assert {job.id for job in lost} == late
        for job in lost:
            self.ledger.move_job(job, State.QUEUED, self.now, "housekeeping", "WorkerLost: silent")
            self.known[job.id].state, self.known[job.id].token = State.QUEUED, ""
        return multiple(*(self.ledger.get_job(job.id) for job in lost))

    # Deliveries

    @rule(target=deliveries, job=jobs)
    def look_at_deliveries(self, job: Job):
        return multiple(*self.ledger.find_deliveries(job.id))

    @rule(delivery=consumes(deliveries), answer=st.sampled_from(["success", "later", "refused"]))
    def send(self, delivery: Delivery, answer):
        """As the deliverer does with what it read as PENDING."""
        if delivery.state != DeliveryState.PENDING:
            return
        now = self._find(delivery)
        to = {"success": DeliveryState.SENT, "later": DeliveryState.PENDING, "refused": DeliveryState.REFUSED}[answer]
        fits = now is not None and now.state == delivery.state
        if answer == "refused" and fits and self.ledger.replace_deliveries(delivery, "0x0122", self.now):
            assert self._find(delivery).state == DeliveryState.REPLACED
            return
        assert self.ledger.move_delivery(delivery, to, answer, self.now) is fits

    @rule(job=jobs, keeps=st.booleans())
    @precondition(lambda self: self.known)
    def ask_to_commit(self, job: Job, keeps):
        """What was sent is asked for, and the destination answers for all of it."""
        sent = self.ledger.find_deliveries(job.id, states=[DeliveryState.SENT])
        if not sent or self.known[job.id].state in FINAL:
            return
        self.transactions += 1
        transaction = f"2.25.{self.transactions}"
        for delivery in sent:
            assert self.ledger.move_delivery(
                delivery, DeliveryState.SENT, "asked", self.now, asked=(transaction, self.now)
            )
        assert settle_report(self.ledger, _report(transaction, sent, keeps), PATIENT)
        wanted = DeliveryState.KEPT if keeps else DeliveryState.PENDING
        assert {self._find(delivery).state for delivery in sent} == {wanted}

    @rule()
    def hear_of_a_stranger_s_transaction(self):
        before = self.ledger.find_deliveries()
        assert not settle_report(self.ledger, _report("2.25.999999", before, True), PATIENT)
        assert self.ledger.find_deliveries() == before

    @rule(target=jobs)
    def settle(self):
        """Housekeeping: the only way to DELIVERED and CONFIRMED."""
        settle_jobs(self.ledger)
        moved = []
        for job in self.ledger.find_jobs():
            known = self.known[job.id]
            if job.state != known.state:
                assert known.state in {State.ENCODED, State.DELIVERED}
                known.state = job.state
                moved.append(job)
        return multiple(*moved)

    def _find(self, delivery: Delivery) -> Delivery | None:
        rows = self.ledger.find_deliveries(delivery.job_id, delivery.destination)
        return next((d for d in rows if d.object.sop_instance_uid == delivery.object.sop_instance_uid), None)

    # What is true at any moment

    @invariant()
    def every_job_is_where_the_model_says(self):
        seen = {job.id: (job.state, job.token) for job in self.ledger.find_jobs()}
        assert seen == {key: (known.state, known.token) for key, known in self.known.items()}

    @invariant()
    def a_lease_belongs_to_one_claimed_job(self):
        jobs = self.ledger.find_jobs()
        assert all(bool(job.token) == (job.state == State.CLAIMED) for job in jobs)
        tokens = [job.token for job in jobs if job.token]
        assert len(tokens) == len(set(tokens))

    @invariant()
    def every_history_follows_the_table(self):
        for key, known in self.known.items():
            states = [event.state for event in self.ledger.find_history(key)]
            assert states[0] == State.QUEUED
            assert states[-1] == known.state
            for before, after in pairwise(states):
                assert after in TRANSITIONS[before], f"{before} -> {after}"

    @invariant()
    def a_confirmed_job_is_kept_by_all_its_destinations(self):
        for job in self.ledger.find_jobs(states=[State.CONFIRMED]):
            deliveries = self.ledger.find_deliveries(job.id)
            assert {d.state for d in deliveries} <= KEPT
            for name in job.deliver:
                kept = [d.object.kind for d in deliveries if d.destination == name and d.state == DeliveryState.KEPT]
                assert sorted(kept) == sorted([Kind.REPORT, Kind.SEGMENTATION])

    @invariant()
    def of_a_canceled_job_nothing_waits_to_be_sent(self):
        for job in self.ledger.find_jobs(states=[State.CANCELED]):
            assert self.ledger.find_deliveries(job.id, states=[DeliveryState.PENDING]) == []

    @invariant()
    def of_two_versions_only_the_newer_is_unfinished(self):
        for uid, (version, state, _) in self.versions.items():
            newest = version if state == StudyState.COMPLETE else version - 1
            open_jobs = self.ledger.find_jobs(uid, [State.QUEUED, State.CLAIMED, State.ENCODED])
            assert all(job.version == newest for job in open_jobs if self.known[job.id].version < version)

    @invariant()
    def no_delivery_is_there_twice(self):
        keys = [(d.destination, d.object.sop_instance_uid) for d in self.ledger.find_deliveries()]
        assert len(keys) == len(set(keys))


def _report(transaction: str, deliveries: list[Delivery], keeps: bool) -> Dataset:
    """A storage commitment report (PS3.4 J.3.3)."""
    report = Dataset()
    report.TransactionUID = transaction
    items = []
    for delivery in deliveries:
        item = Dataset()
        item.ReferencedSOPClassUID = delivery.object.sop_class_uid
        item.ReferencedSOPInstanceUID = delivery.object.sop_instance_uid
        if not keeps:
            item.FailureReason = 0x0112
        items.append(item)
    setattr(report, "ReferencedSOPSequence" if keeps else "FailedSOPSequence", items)
    return report


TestTheLedger = LedgerMachine.TestCase
TestTheLedger.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes; the failing steps are printed all the same
)
