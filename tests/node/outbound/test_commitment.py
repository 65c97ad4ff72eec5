"""Storage commitment and queries with real peers that misbehave."""

import threading
import time

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_role, evt

from node import wiring
from node.dicom.uids import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    STUDY_ROOT_FIND,
)
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.confirm import settle_report
from node.outbound.reactor import hold_reactor
from tests.node.outbound.house import CT, House, lose_one, peer, serving
from tests.ports import free_port

UIDS = (STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE)


class Archive:
    """A Storage SCP with commitment. status: to the N-ACTION. times: how often it reports. say(request number, uid):
    None commits, a number is the Failure Reason, "silent" leaves the instance out."""

    def __init__(self, say=lambda _number, _uid: None, status=0x0000, times=1, delay=0.02, report_to=None):
        self.say, self.status, self.times, self.delay, self.report_to = say, status, times, delay, report_to
        self.stored, self.requests, self.answers = [], [], []

    @property
    def handlers(self):
        return [(evt.EVT_C_STORE, self._on_store), (evt.EVT_N_ACTION, self._on_action)]

    def _on_store(self, event):
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _on_action(self, event):
        request = event.action_information
        self.requests.append(str(request.TransactionUID))
        if self.status == 0x0000:
            number = len(self.requests)
            threading.Thread(target=self._report, args=(event.assoc, request, number), daemon=True).start()
        return self.status, None

    def make_report(self, request, number):
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
        for wanted in request.ReferencedSOPSequence:
            said = self.say(number, str(wanted.ReferencedSOPInstanceUID))
            item = Dataset()
            item.ReferencedSOPClassUID = wanted.ReferencedSOPClassUID
            item.ReferencedSOPInstanceUID = wanted.ReferencedSOPInstanceUID
            if said is None:
                report.ReferencedSOPSequence.append(item)
            elif said != "silent":
                item.FailureReason = said
                report.FailedSOPSequence.append(item)
        for keyword in ("ReferencedSOPSequence", "FailedSOPSequence"):
            if not report[keyword].value:
                del report[keyword]
        return report

    def _report(self, association, request, number):
        report = self.make_report(request, number)
        time.sleep(self.delay)
        for _ in range(self.times):
            self._send(association, report)

    def _send(self, association, report):
        kind = 2 if "FailedSOPSequence" in report else 1
        if self.report_to is None:
            if association.is_established:
                self._tell(association, report, kind)
            return
        entity = AE("PACS")
        entity.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True)
        back = entity.associate("127.0.0.1", self.report_to, ae_title="WETREAD", ext_neg=[role])
        if back.is_established:
            self._tell(back, report, kind)
            back.release()

    def _tell(self, association, report, kind):
        with hold_reactor(association):
            self.answers.append(association.send_n_event_report(report, kind, *UIDS)[0].get("Status"))


def open_archive(archive):
    return serving((CT, STORAGE_COMMITMENT_PUSH_MODEL), handlers=archive.handlers)


def make_house(folder, port, **deliver):
    return House(folder, {"pacs": peer(port, confirm="commitment")}, **{"commit_wait": "PT0.5S"} | deliver)


def test_what_the_peer_does_not_hold_is_sent_again_and_the_rest_is_not(tmp_path):
    lost = []

    def say(number, uid):
        lost.append(uid)
        return 0x0112 if number == 1 and uid == lost[0] else None

    archive = Archive(say)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=3)
        house.run_until(lambda: house.state() == State.CONFIRMED)
    assert sorted(archive.stored.count(uid) for uid in set(archive.stored)) == [1, 1, 2]
    assert archive.stored.count(lost[0]) == 2


def test_a_peer_that_takes_everything_and_denies_it_is_not_flooded_and_given_up(tmp_path):
    archive = Archive(lambda _number, _uid: 0x0112)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=1, give_up="PT5S")
        house.run_until(lambda: house.state() == State.FAILED)
    assert 2 <= len(archive.stored) <= 6
    assert "commitment denied, 0x0112 (no such object instance)" in house.ledger.get_job(house.ids[0]).reason


def test_a_peer_that_never_will_commit_to_a_class_refuses_it(tmp_path):
    archive = Archive(lambda _number, _uid: 0x0122)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port)
        house.run_until(lambda: house.state() == State.FAILED)
    assert len(archive.stored) == 2
    assert "0x0122 (SOP class not supported)" in house.ledger.get_job(house.ids[0]).reason


def test_a_peer_that_is_too_busy_to_say_is_asked_again_and_sent_nothing(tmp_path):
    archive = Archive(lambda number, _uid: 0x0213 if number == 1 else None)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, commit_wait="PT3S")
        house.run_until(lambda: house.state() == State.CONFIRMED)
    assert len(archive.stored) == 2
    assert len(set(archive.requests)) == len(archive.requests) == 2


def test_a_peer_that_never_reports_is_asked_again_ever_more_slowly(tmp_path):
    archive = Archive(times=0)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=1, give_up="PT4S")
        house.run_until(lambda: house.state() == State.FAILED)
    assert 2 <= len(archive.requests) <= 5
    assert len(archive.stored) == 1
    assert "never confirmed" in house.ledger.get_job(house.ids[0]).reason


def test_a_report_that_comes_after_the_next_request_still_counts(tmp_path):
    door = free_port()
    archive = Archive(lambda number, _uid: None if number == 1 else "silent", delay=4.0, report_to=door)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port)
        settings = house.settings.model_copy(
            update={"node": house.settings.node.model_copy(update={"listen": f"127.0.0.1:{door}"})}
        )
        listener = wiring.make_listener(settings)
        listener.start()
        try:
            house.run_until(lambda: house.state() == State.CONFIRMED)
        finally:
            listener.stop()
    assert len(archive.requests) > 1
    assert len(archive.stored) == 2


def test_a_report_that_comes_twice_is_harmless(tmp_path):
    archive = Archive(times=2)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port)
        house.run_until(lambda: house.state() == State.CONFIRMED)
    assert len(archive.stored) == 2
    assert set(archive.answers) <= {0x0000, None}
    assert archive.answers[0] == 0x0000


def test_a_denial_that_comes_twice_sends_again_once(tmp_path):
    archive = Archive(times=0)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=1)
        house.deliverers["pacs"].tick(time.time())
    denial = Dataset()
    denial.TransactionUID = archive.requests[0]
    item = Dataset()
    item.ReferencedSOPInstanceUID = archive.stored[0]
    item.FailureReason = 0x0112
    denial.FailedSOPSequence = [item]
    assert settle_report(house.ledger, denial, house.settings.deliver)
    (delivery,) = house.deliveries()
    assert delivery.state == DeliveryState.PENDING
    house.ledger.move_delivery(delivery, DeliveryState.SENT, "again", 0.0)
    assert not settle_report(house.ledger, denial, house.settings.deliver)
    assert house.deliveries()[0].state == DeliveryState.SENT


@pytest.mark.parametrize("reason", [0x0112, 0x0213], ids=["sent again", "asked again"])
def test_what_is_denied_in_one_report_is_due_again_together(tmp_path, reason):
    archive = Archive(times=0)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=4)
        house.deliverers["pacs"].tick(time.time())
    assert len({d.next_at for d in house.deliveries()}) == 1  # what is asked for in one request
    denial = Dataset()
    denial.TransactionUID = archive.requests[0]
    denial.FailedSOPSequence = []
    for uid in archive.stored:
        item = Dataset()
        item.ReferencedSOPInstanceUID = uid
        item.FailureReason = reason
        denial.FailedSOPSequence.append(item)
    assert settle_report(house.ledger, denial, house.settings.deliver)
    assert {hex(reason)[2:] in d.answer.lower() for d in house.deliveries()} == {True}
    assert len({d.next_at for d in house.deliveries()}) == 1


def test_what_was_confirmed_stays_so_whatever_is_reported_later(tmp_path):
    archive = Archive()
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=1)
        house.run_until(lambda: house.state() == State.CONFIRMED)
    denial = Dataset()
    denial.TransactionUID = archive.requests[0]
    item = Dataset()
    item.ReferencedSOPInstanceUID = archive.stored[0]
    item.FailureReason = 0x0112
    denial.FailedSOPSequence = [item]
    assert settle_report(house.ledger, denial, house.settings.deliver)
    assert house.deliveries()[0].state == DeliveryState.KEPT


def test_a_report_that_leaves_an_instance_out_is_asked_for_again(tmp_path):
    archive = Archive(lambda number, uid: "silent" if number == 1 and uid.endswith(("1", "2", "3", "4", "5")) else None)
    with open_archive(archive) as port:
        house = make_house(tmp_path, port, slices=6)
        house.run_until(lambda: house.state() == State.CONFIRMED)
    assert len(archive.stored) == 6


@pytest.mark.parametrize("classes", [(CT,), (CT, STORAGE_COMMITMENT_PUSH_MODEL)], ids=["no context", "0x0110"])
def test_a_peer_that_does_not_take_the_request_is_named_in_the_answer(tmp_path, classes):
    archive = Archive(status=0x0110)
    with serving(classes, handlers=archive.handlers) as port:
        house = make_house(tmp_path, port)
        house.deliverers["pacs"].tick(time.time())
    told = {d.answer for d in house.deliveries(states=[DeliveryState.SENT])}
    expected = "0x0110" if len(classes) > 1 else "does not offer storage commitment"
    assert len(told) == 1
    assert expected in told.pop()


class Index:
    """A Storage SCP that lists by C-FIND what it holds from the `late`-th question on."""

    def __init__(self, late=0, status=0x0000, loses=0):
        self.late, self.status, self.loses = late, status, loses
        self.stored, self.asked = [], 0

    @property
    def handlers(self):
        return [(evt.EVT_C_STORE, self._on_store), (evt.EVT_C_FIND, self._on_find)]

    def _on_store(self, event):
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _on_find(self, event):
        self.asked += 1
        uid = str(event.identifier.SOPInstanceUID)
        if self.status != 0x0000:
            yield self.status, None
        elif self.asked > self.late and self.stored.count(uid) > self.loses:
            match = Dataset()
            match.QueryRetrieveLevel = "IMAGE"
            match.SOPInstanceUID = uid
            yield 0xFF00, match


def query(folder, index, **deliver):
    with serving((CT, STUDY_ROOT_FIND), handlers=index.handlers) as port:
        house = House(folder, {"pacs": peer(port, confirm="query")}, slices=1, **{"commit_wait": "PT0.3S"} | deliver)
        house.run_until(lambda: house.state() in {State.CONFIRMED, State.FAILED})
    return house


def test_an_index_that_is_a_moment_late_is_asked_again_and_sent_nothing(tmp_path):
    index = Index(late=2)
    assert query(tmp_path, index).state() == State.CONFIRMED
    assert (len(index.stored), index.asked) == (1, 3)


def test_what_is_not_listed_after_some_questions_is_sent_again(tmp_path):
    index = Index(loses=1)
    assert query(tmp_path, index).state() == State.CONFIRMED
    assert len(index.stored) == 2


@pytest.mark.parametrize("is_known", [True, False], ids=["series in the ledger", "series unknown"])
def test_a_file_that_is_gone_keeps_nobody_from_being_confirmed(tmp_path, is_known):
    index, asked = Index(loses=-1), []
    on_find = (evt.EVT_C_FIND, lambda event: asked.append(event.identifier) or index._on_find(event))
    with serving((CT, STUDY_ROOT_FIND), handlers=[index.handlers[0], on_find]) as port:
        house = House(tmp_path, {"pacs": peer(port, confirm="query")}, slices=2)
        lose_one(house, is_known)
        house.deliverers["pacs"].tick(time.time())
    lost, other = house.deliveries()
    assert (lost.state, other.state) == (DeliveryState.KEPT if is_known else DeliveryState.SENT, DeliveryState.KEPT)
    assert is_known or "cannot be asked" in lost.answer
    study = house.ledger.get_job(house.ids[0]).study_uid
    series = {dcmread(path).SeriesInstanceUID for path in house.settings.outbox.rglob("*.dcm")}
    assert {(query.StudyInstanceUID, query.SeriesInstanceUID) for query in asked} == {(study, *series)}


def test_a_query_that_fails_says_nothing_about_the_instance(tmp_path):
    index = Index(status=0xA700)
    house = query(tmp_path, index, give_up="PT2S")
    assert house.state() == State.FAILED
    assert len(index.stored) == 1
    assert "0xA700" in house.ledger.get_job(house.ids[0]).reason


def test_a_peer_without_c_find_is_named_and_stops_nobody(tmp_path):
    index = Index()
    with serving((CT,), handlers=index.handlers) as port:
        house = House(tmp_path, {"pacs": peer(port, confirm="query")}, slices=2)
        house.deliverers["pacs"].tick(time.time())
    assert {d.answer for d in house.deliveries()} == {"does not offer C-FIND: set its `confirm` to commitment or none"}
