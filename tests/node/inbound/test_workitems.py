"""The worklist by DIMSE: every cell of the standard's table as pynetdicom's SCU meets it, and what a caller sees."""

import struct
import threading
import time
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

from node import wiring
from node.config import load_settings
from node.model.workitem import FILTERED, GLOBAL
from node.outbound.reactor import hold_reactor
from node.worklist import Worklist
from tests.ports import free_port
from tests.workitems import make_code, make_performed, make_progress, make_workitem
from tests.worklist_table import AFTER, LOCK, LOCKS, ROWS, STATE_WORDS, STATES, UID

TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "home"
[listen]
min_free_mb = 0
unknown_callers = "any"
[peers.watcher]
ae_title = "WATCHER"
address = "127.0.0.1:{watcher}"
workitems = true
[peers.other]
ae_title = "OTHER"
address = "127.0.0.1:{watcher}"
"""
PUSH, PULL, WATCH, QUERY = (
    UnifiedProcedureStepPush,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepWatch,
    UnifiedProcedureStepQuery,
)
CLASSES = (PUSH, PULL, WATCH, QUERY)
CHANGE, CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = range(1, 6)


@pytest.fixture
def door(tmp_path):
    """(port, worklist) of a listener."""
    path = tmp_path / "wetread.toml"
    port = free_port()
    path.write_text(TOML.format(door=port, watcher=free_port()))
    settings = load_settings(path, {})
    listener = wiring.make_listener(settings)
    listener.start()
    worklist = Worklist(settings.node.home)
    yield port, worklist
    listener.stop()
    worklist.close()


@contextmanager
def call(port, title="WATCHER", classes=CLASSES):
    entity = AE(title)
    for uid in classes:
        entity.add_requested_context(uid)
    line = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert line.is_established
    try:
        with hold_reactor(line):
            yield line
    finally:
        line.release()


def act(line, kind, information, meta, uid=UID):
    return line.send_n_action(information, kind, PUSH, uid, meta_uid=meta)[0].Status


def change_state(line, state, lock, uid=UID):
    information = Dataset()
    information.ProcedureStepState, information.TransactionUID = state, lock
    return act(line, CHANGE, information, PULL, uid)


def set_(line, changes, lock, uid=UID):
    changes.TransactionUID = lock
    return line.send_n_set(changes, PUSH, uid, meta_uid=PULL)[0].Status


def create(line, request=None, uid=UID):
    return line.send_n_create(request or make_workitem(), PUSH, uid)[0].Status


def find(line, identifier, meta=PULL):
    """(the last status, what came before)."""
    answers = list(line.send_c_find(identifier, meta))
    assert {status.Status for status, _ in answers[:-1]} <= {0xFF00}
    return answers[-1][0].Status, [found for _, found in answers[:-1]]


def make_keys(**keys):
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def bring(line, state):
    if state == "absent":
        return
    assert create(line) == 0x0000
    if state != "SCHEDULED":
        assert change_state(line, "IN PROGRESS", LOCK) == 0x0000
        assert set_(line, make_performed(), LOCK) == 0x0000
    if state in ("COMPLETED", "CANCELED"):
        assert change_state(line, state, LOCK) == 0x0000


def ask(line, request):
    verb, _, which = request.partition(", ")
    lock = LOCKS.get(which, "")
    if verb == "create":
        return create(line)
    if verb == "ask to cancel":
        return act(line, CANCEL, make_keys(ReasonForCancellation="not needed"), WATCH)
    if verb == "set":
        return set_(line, make_progress("50"), lock)
    return change_state(line, STATE_WORDS[verb], lock)


@pytest.mark.parametrize("state", STATES)
def test_each_cell_answers_as_the_standard_says(door, state):
    port, worklist = door
    with call(port) as line:
        for row in ROWS:
            cell = row[1 + STATES.index(state)]
            if cell == "-":
                continue
            bring(line, state)
            assert f"{ask(line, row[0]):04X}" == cell.split()[0], row[0]
            after = AFTER.get((row[0], state), state)
            status, found = find(line, make_keys(SOPInstanceUID=UID, ProcedureStepState=None))
            assert status == 0x0000
            assert [item.ProcedureStepState for item in found] == ([] if after == "absent" else [after])
            forget(worklist)


def forget(worklist):
    """An empty worklist again."""
    from node.worklist import tables

    with worklist._engine.begin() as db:
        for table in tables.metadata.sorted_tables:
            db.execute(table.delete())


def test_two_who_race_for_a_hundred_workitems_never_hold_one_twice(door):
    port, worklist = door
    uids = [f"{UID}.{number}" for number in range(100)]
    for uid in uids:
        worklist.create(make_workitem(), 1.0, uid)
    won = {name: [] for name in "abc"}
    start = threading.Barrier(3)

    def race(name, order):
        lock = f"2.25.{ord(name)}"
        if name == "c":  # by the verbs of the other wire
            start.wait()
            for uid in order:
                try:
                    worklist.change_state(uid, "IN PROGRESS", lock, time.time())
                    won[name].append(uid)
                except Exception as refusal:
                    assert refusal.status == 0xC302
            return
        with call(port) as line:
            start.wait()
            won[name] = [uid for uid in order if change_state(line, "IN PROGRESS", lock, uid) == 0x0000]

    threads = [
        threading.Thread(target=race, args=(name, order)) for name, order in (("a", uids), ("b", uids), ("c", uids))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(uid for some in won.values() for uid in some) == sorted(uids)


def test_what_was_created_is_got_whole_or_in_part_without_its_lock(door):
    with call(door[0]) as line:
        request = make_workitem(PatientName="Дмитрий^Иван", SpecificCharacterSet="ISO_IR 144")
        assert create(line, request) == 0x0000
        assert change_state(line, "IN PROGRESS", LOCK) == 0x0000
        status, found = line.send_n_get([], PUSH, UID, meta_uid=PULL)
        assert status.Status == 0x0000
        assert str(found.PatientName) == "Дмитрий^Иван"
        assert found.ProcedureStepState == "IN PROGRESS"
        assert not found.get("TransactionUID")
        status, found = line.send_n_get([0x00741000, 0x00100020], PUSH, UID, meta_uid=WATCH)
        assert status.Status == 0x0000
        assert {e.keyword for e in found} - {"SpecificCharacterSet"} == {"ProcedureStepState", "PatientID"}
        status, found = line.send_n_get([0x00741000, 0x00081195], PUSH, UID, meta_uid=WATCH)
        assert status.Status == 0x0001
        assert line.send_n_get([], PUSH, "1.2.3.4", meta_uid=PULL)[0].Status == 0xC307


def test_an_answer_to_a_query_has_what_was_asked_for_and_the_most_urgent_first(door):
    with call(door[0]) as line:
        for number, priority in enumerate(("LOW", "HIGH", "MEDIUM")):
            assert create(line, make_workitem(ScheduledProcedureStepPriority=priority), f"{UID}.{number}") == 0x0000
        keys = make_keys(ProcedureStepState="SCHEDULED", ScheduledProcedureStepPriority=None, PatientID="P*")
        keys.ScheduledWorkitemCodeSequence = [make_keys(CodeValue="110004", CodeMeaning=None)]
        keys.WorklistLabel = None
        for meta in (PULL, WATCH, QUERY):
            status, found = find(line, keys, meta)
            assert status == 0x0000
            assert [one.ScheduledProcedureStepPriority for one in found] == ["HIGH", "MEDIUM", "LOW"]
        shown = {e.keyword for e in found[0]}
        assert shown == {e.keyword for e in keys} | {"SOPClassUID", "SOPInstanceUID"}
        (code,) = found[0].ScheduledWorkitemCodeSequence
        assert {e.keyword: e.value for e in code} == {
            "CodeValue": "110004",
            "CodeMeaning": "Computer Aided Detection",
        }
        assert find(line, make_keys(PatientID="Q*")) == (0x0000, [])


def test_a_query_that_is_canceled_ends_early(door):
    port, worklist = door
    for number in range(400):
        worklist.create(make_workitem(), 1.0, f"{UID}.{number}")
    with call(port) as line:
        statuses = []
        for status, _ in line.send_c_find(make_keys(PatientName=None, InputInformationSequence=None), PULL, msg_id=7):
            statuses.append(status.Status)
            if len(statuses) == 3:
                line.send_c_cancel(7, query_model=PULL)
        assert statuses[-1] in {0xFE00, 0x0000}
        again, found = find(line, make_keys(PatientID=None))
        assert (again, len(found)) == (0x0000, 400)


def test_each_class_serves_what_it_is_for_and_nothing_else(door):
    with call(door[0]) as line:
        assert create(line) == 0x0000
        information = make_keys(ProcedureStepState="IN PROGRESS", TransactionUID=LOCK)
        assert act(line, CHANGE, information, WATCH) == 0x0123
        assert act(line, CANCEL, make_keys(ReasonForCancellation="not needed"), PULL) == 0x0123
        assert act(line, 9, information, WATCH) == 0x0123
        assert line.send_n_set(make_progress("1"), PUSH, UID, meta_uid=WATCH)[0].Status == 0x0211
        assert line.send_n_create(make_workitem(), PULL, f"{UID}.1")[0].Status == 0x0211
        assert line.send_n_create(make_workitem(), PULL, f"{UID}.1", meta_uid=PUSH)[0].Status == 0x0118
        assert act(line, CANCEL, make_keys(ReasonForCancellation="not needed"), PUSH) == 0x0000


def test_only_peers_that_may_are_let_at_the_worklist(door):
    for title in ("OTHER", "STRANGER"):
        entity = AE(title)
        for uid in (*CLASSES, "1.2.840.10008.1.1"):
            entity.add_requested_context(uid)
        line = entity.associate("127.0.0.1", door[0], ae_title="WETREAD")
        assert [str(c.abstract_syntax) for c in line.accepted_contexts] == ["1.2.840.10008.1.1"]
        assert {c.result for c in line.rejected_contexts} == {1}
        line.release()


def test_who_subscribes_must_be_reachable_and_is_told_by_name(door):
    port, worklist = door
    with call(port) as line:
        assert create(line) == 0x0000
        assert act(line, SUBSCRIBE, make_keys(ReceivingAE="NOBODY", DeletionLock="FALSE"), WATCH) == 0xC308
        assert act(line, SUBSCRIBE, make_keys(ReceivingAE="WATCHER", DeletionLock="TRUE"), WATCH) == 0x0000
        assert worklist.find_subscribers(UID) == ["WATCHER"]
        assert act(line, SUSPEND, make_keys(ReceivingAE="WATCHER"), WATCH) == 0xC314
        assert act(line, UNSUBSCRIBE, make_keys(ReceivingAE="WATCHER"), WATCH) == 0x0000
        assert act(line, UNSUBSCRIBE, make_keys(ReceivingAE="WATCHER"), WATCH) == 0x0000
        assert worklist.find_subscribers(UID) == []
        assert act(line, SUBSCRIBE, make_keys(ReceivingAE="WATCHER"), WATCH, "1.2.3.4") == 0xC307


def test_a_subscription_to_all_or_to_some_reaches_what_comes_later(door):
    port, worklist = door
    with call(port) as line:
        wish = make_keys(ReceivingAE="WATCHER", DeletionLock="FALSE", WorklistLabel="CHEST")
        assert act(line, SUBSCRIBE, wish, WATCH, FILTERED) == 0x0000
        assert create(line, make_workitem(WorklistLabel="CHEST"), f"{UID}.1") == 0x0000
        assert create(line, make_workitem(WorklistLabel="HEAD"), f"{UID}.2") == 0x0000
        assert worklist.find_subscribers(f"{UID}.1") == ["WATCHER"]
        assert worklist.find_subscribers(f"{UID}.2") == []
        assert act(line, SUBSCRIBE, make_keys(ReceivingAE="WATCHER"), WATCH, GLOBAL) == 0x0000
        assert create(line, uid=f"{UID}.3") == 0x0000
        assert act(line, SUSPEND, make_keys(ReceivingAE="WATCHER"), WATCH, GLOBAL) == 0x0000
        assert create(line, uid=f"{UID}.4") == 0x0000
        assert worklist.find_subscribers(f"{UID}.3") == ["WATCHER"]
        assert worklist.find_subscribers(f"{UID}.4") == []


def test_a_new_workitem_that_lacks_something_is_refused_by_attribute(door):
    with call(door[0]) as line:
        status = line.send_n_create(make_workitem(ProcedureStepLabel=None), PUSH, UID)[0]
        assert (status.Status, "ProcedureStepLabel" in status.ErrorComment) == (0x0120, True)
        assert create(line, make_workitem(ProcedureStepState="IN PROGRESS")) == 0xC309
        assert create(line, make_workitem(WorklistLabel=None)) == 0xB300
        assert line.send_n_create(make_workitem(ProcedureStepLabel="anew"), PUSH)[0].Status == 0x0000
        (found,) = find(line, make_keys(ProcedureStepLabel="anew"))[1]
        assert found.SOPInstanceUID not in {"", UID}


def test_codes_of_a_performer_come_back_as_they_were_said(door):
    with call(door[0]) as line:
        bring(line, "IN PROGRESS")
        changes = make_performed()
        changes.UnifiedProcedureStepPerformedProcedureSequence[0].PerformedStationNameCodeSequence = [
            make_code("GPU1", "99SITE", "Rechner")
        ]
        assert set_(line, changes, LOCK) == 0x0000
        assert change_state(line, "COMPLETED", LOCK) == 0x0000
        _, found = line.send_n_get([0x00741216], PUSH, UID, meta_uid=PULL)
        (performed,) = found.UnifiedProcedureStepPerformedProcedureSequence
        assert performed.PerformedStationNameCodeSequence[0].CodeMeaning == "Rechner"


def test_a_command_in_the_middle_of_an_answer_ends_the_association_and_nothing_else(door):
    port, worklist = door
    for number in range(200):
        worklist.create(make_workitem(), 1.0, f"{UID}.{number}")
    with call(port) as line:
        answers = line.send_c_find(make_keys(PatientName=None), PULL)
        next(answers)
        context = next(c for c in line.accepted_contexts if c.abstract_syntax == PULL).context_id
        element = struct.pack("<HHI", 0, 0x0100, 2) + struct.pack("<H", 0x0030)
        element += struct.pack("<HHI", 0, 0x0800, 2) + struct.pack("<H", 0x0101)
        body = struct.pack("<HHII", 0, 0, 4, len(element)) + element
        line.dul.socket.socket.sendall(struct.pack(">BxIIBB", 4, len(body) + 6, len(body) + 2, context, 3) + body)
        list(answers)
    with call(port) as line:
        assert find(line, make_keys(PatientID="nobody")) == (0x0000, [])
