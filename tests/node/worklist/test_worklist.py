"""What a workitem must say, who is told of it, how it is found, and when it goes."""

import json
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from pydicom import Dataset

from node.errors import WorkitemRefused
from node.model.workitem import FILTERED, GLOBAL
from node.worklist import Worklist
from tests.workitems import make_code, make_performed, make_progress, make_workitem

UID, LOCK = "1.2.826.1", "2.25.11"
DAY = 86400.0


@pytest.fixture
def worklist(tmp_path):
    book = Worklist(tmp_path)
    yield book
    book.close()


def read(worklist, uid=UID):
    return Dataset.from_json(worklist.get(uid).model)


def hear(worklist, subscriber):
    """[(event type, workitem, state or what else it says)], settled."""
    notices = worklist.find_notices(subscriber)
    worklist.settle_notices(subscriber, [notice.number for notice in notices])
    told = [(notice.report.value, notice.uid, Dataset.from_json(notice.model)) for notice in notices]
    return [(report, uid, ds.get("ProcedureStepState", "")) for report, uid, ds in told]


# What it must say


@pytest.mark.parametrize(
    "keyword",
    [
        "ProcedureStepState",
        "ScheduledProcedureStepPriority",
        "ProcedureStepLabel",
        "ScheduledProcedureStepStartDateTime",
        "InputReadinessState",
    ],
)
def test_a_workitem_without_what_it_must_say_is_refused_by_name(worklist, keyword):
    for value, status in ((None, 0x0120), ("", 0x0121)):
        with pytest.raises(WorkitemRefused, match=keyword) as refused:
            worklist.create(make_workitem(**{keyword: value}), 1.0, UID)
        assert (refused.value.status, refused.value.http) == (status, 400)
    assert worklist.search([]) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"ProcedureStepState": "IN PROGRESS"}, 0xC309),
        ({"ProcedureStepState": "NONSENSE"}, 0x0106),
        ({"ScheduledProcedureStepPriority": "STAT"}, 0x0106),
        ({"InputReadinessState": "SOON"}, 0x0106),
        ({"TransactionUID": "2.25.1"}, 0x0106),
        ({"ProcedureStepProgressInformationSequence": [make_code("1")]}, 0x0106),
        ({"UnifiedProcedureStepPerformedProcedureSequence": [make_code("1")]}, 0x0106),
    ],
)
def test_a_workitem_that_says_what_a_new_one_may_not_is_refused(worklist, changes, status):
    with pytest.raises(WorkitemRefused, match=next(iter(changes))) as refused:
        worklist.create(make_workitem(**changes), 1.0, UID)
    assert refused.value.status == status


def test_what_is_left_out_though_it_may_be_empty_is_added_and_the_answer_says_so(worklist):
    uid, outcome = worklist.create(make_workitem(PatientName=None, InputInformationSequence=None), 1.0)
    assert (outcome.status, outcome.http) == (0xB300, 201)
    assert outcome.warning == "The Workitem was created with modifications."
    found = read(worklist, uid)
    assert "PatientName" in found
    assert found.InputInformationSequence == []
    assert found.SOPInstanceUID == uid
    assert worklist.create(make_workitem(), 1.0)[1].status == 0x0000


def test_no_workitem_has_the_uid_of_a_global_subscription(worklist):
    with pytest.raises(WorkitemRefused):
        worklist.create(make_workitem(), 1.0, GLOBAL)


def test_the_transaction_uid_is_told_to_nobody(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 2.0)
    progress = make_progress("10")
    progress.TransactionUID = LOCK
    assert worklist.update(UID, progress, 3.0).status == 0x0000
    assert LOCK not in worklist.get(UID).model
    assert worklist.search([("00081195", LOCK)]) == []


def test_sequences_are_set_as_a_whole_and_identity_is_not_set(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    for percent in ("10", "20"):
        worklist.update(UID, make_progress(percent), 2.0)
    assert [item.ProcedureStepProgress for item in read(worklist).ProcedureStepProgressInformationSequence] == [20]
    for keyword, value in (("PatientID", "P2"), ("ProcedureStepState", "COMPLETED"), ("ProcedureStepLabel", "")):
        changes = Dataset()
        setattr(changes, keyword, value)
        with pytest.raises(WorkitemRefused, match=keyword):
            worklist.update(UID, changes, 3.0)
    same = Dataset()
    same.PatientID, same.ProcedureStepLabel = "P1", "another"
    worklist.update(UID, same, 4.0)
    assert read(worklist).ProcedureStepLabel == "another"


def test_names_of_every_script_come_back_as_they_were(worklist):
    request = make_workitem(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    request.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    worklist.create(request, 1.0, UID)
    found = read(worklist)
    assert found.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert found.SpecificCharacterSet == "ISO_IR 192"


# Who is told


def test_a_subscriber_hears_the_state_at_once_and_every_change_after(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    assert worklist.subscribe(UID, "WATCHER", 2.0).http == 201
    worklist.change_state(UID, "IN PROGRESS", LOCK, 3.0)
    worklist.update(UID, make_progress("50"), 4.0, LOCK)
    worklist.update(UID, make_performed(), 5.0, LOCK)
    worklist.request_cancel(UID, Dataset(), "WARD", 6.0)
    worklist.change_state(UID, "COMPLETED", LOCK, 7.0)
    assert hear(worklist, "WATCHER") == [
        (1, UID, "SCHEDULED"),
        (1, UID, "IN PROGRESS"),
        (3, UID, ""),
        (2, UID, ""),
        (1, UID, "COMPLETED"),
    ]
    assert hear(worklist, "WATCHER") == []


def test_a_page_of_notices_goes_on_where_the_last_one_ended(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.subscribe(UID, "WATCHER", 2.0)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 3.0)
    first, second = worklist.find_notices("WATCHER")
    assert worklist.find_notices("WATCHER", limit=1) == [first]
    assert worklist.find_notices("WATCHER", after=first.number) == [second]
    assert worklist.find_newest() == second.number


def test_a_canceled_one_goes_by_way_of_in_progress_with_its_reason(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.subscribe(UID, "WATCHER", 2.0)
    why = Dataset()
    why.ReasonForCancellation = "wrong patient"
    why.ProcedureStepDiscontinuationReasonCodeSequence = [make_code("110513", "DCM", "Discontinued")]
    worklist.request_cancel(UID, why, "WARD", 3.0)
    assert [state for _, _, state in hear(worklist, "WATCHER")] == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    progress = read(worklist).ProcedureStepProgressInformationSequence[0]
    assert progress.ReasonForCancellation == "wrong patient"
    assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
    assert progress.ProcedureStepCancellationDateTime


def test_a_cancel_request_says_who_asks_and_why(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 2.0)
    worklist.subscribe(UID, "PERFORMER", 3.0)
    hear(worklist, "PERFORMER")
    why = Dataset()
    why.ReasonForCancellation, why.ContactDisplayName = "too late", "Ward 7"
    assert worklist.find_cancel_requests() == []
    worklist.request_cancel(UID, why, "WARD", 4.0)
    (notice,) = worklist.find_notices("PERFORMER")
    said = Dataset.from_json(notice.model)
    assert (said.RequestingAE, said.ReasonForCancellation, said.ContactDisplayName) == ("WARD", "too late", "Ward 7")
    assert [found.uid for found in worklist.find_cancel_requests()] == [UID]
    assert worklist.get(UID).state == "IN PROGRESS"


def test_readiness_and_assignment_are_told(worklist):
    worklist.create(make_workitem(InputReadinessState="INCOMPLETE"), 1.0, UID)
    worklist.subscribe(UID, "WATCHER", 2.0)
    changes = Dataset()
    changes.InputReadinessState = "READY"
    changes.ScheduledStationNameCodeSequence = [make_code("ROOM1")]
    worklist.update(UID, changes, 3.0)
    notices = worklist.find_notices("WATCHER")
    assert [notice.report.value for notice in notices] == [1, 1, 5]
    assert Dataset.from_json(notices[1].model).InputReadinessState == "READY"
    assert Dataset.from_json(notices[2].model).ScheduledStationNameCodeSequence[0].CodeValue == "ROOM1"


def test_a_global_subscription_with_a_lock_hears_of_all_there_are_and_all_to_come(worklist):
    worklist.create(make_workitem(), 1.0, "1.1")
    worklist.subscribe(GLOBAL, "LOCKED", 2.0, lock=True)
    worklist.subscribe(GLOBAL, "PLAIN", 2.0)
    worklist.create(make_workitem(ScheduledStationNameCodeSequence=[make_code("ROOM1")]), 3.0, "1.2")
    assert hear(worklist, "LOCKED") == [(1, "1.1", "SCHEDULED"), (1, "1.2", "SCHEDULED"), (5, "1.2", "")]
    assert hear(worklist, "PLAIN") == [(1, "1.2", "SCHEDULED"), (5, "1.2", "")]
    worklist.change_state("1.1", "IN PROGRESS", LOCK, 4.0)
    assert hear(worklist, "PLAIN") == [(1, "1.1", "IN PROGRESS")]


def test_who_subscribes_late_is_told_the_state_as_others_were(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.subscribe(UID, "EARLY", 2.0)
    why = Dataset()
    why.ReasonForCancellation = "wrong patient"
    why.ProcedureStepDiscontinuationReasonCodeSequence = [make_code("110513", "DCM", "Discontinued")]
    worklist.request_cancel(UID, why, "WARD", 3.0)
    worklist.subscribe(GLOBAL, "LATE", 4.0, lock=True)
    (late,) = worklist.find_notices("LATE")
    early = worklist.find_notices("EARLY")
    assert json.loads(late.model) == json.loads(early[-1].model)
    assert late.number == early[-1].number + 1


def test_a_filtered_subscription_hears_of_what_its_keys_match(worklist):
    worklist.create(make_workitem(WorklistLabel="CT"), 1.0, "1.1")
    worklist.create(make_workitem(WorklistLabel="MR"), 1.0, "1.2")
    keys = Dataset()
    keys.WorklistLabel = "M*"
    worklist.subscribe(FILTERED, "READER", 2.0, lock=True, keys=keys)
    worklist.create(make_workitem(WorklistLabel="MG"), 3.0, "1.3")
    worklist.create(make_workitem(WorklistLabel="US"), 3.0, "1.4")
    assert [uid for _, uid, _ in hear(worklist, "READER")] == ["1.2", "1.3"]
    with pytest.raises(WorkitemRefused):
        worklist.subscribe(FILTERED, "READER", 4.0)


def test_a_suspended_one_hears_of_the_old_and_not_of_the_new(worklist):
    worklist.create(make_workitem(), 1.0, "1.1")
    worklist.subscribe(GLOBAL, "READER", 2.0)
    assert worklist.suspend(GLOBAL, "READER").http == 200
    assert worklist.suspend(GLOBAL, "READER").http == 404
    worklist.create(make_workitem(), 3.0, "1.2")
    worklist.change_state("1.1", "IN PROGRESS", LOCK, 4.0)
    assert hear(worklist, "READER") == [(1, "1.1", "IN PROGRESS")]
    with pytest.raises(WorkitemRefused) as refused:
        worklist.suspend("1.1", "READER")
    assert refused.value.status == 0xC314


def test_who_unsubscribes_globally_is_told_nothing_more(worklist):
    worklist.subscribe(GLOBAL, "READER", 1.0)
    worklist.create(make_workitem(), 2.0, "1.1")
    worklist.subscribe("1.1", "READER", 3.0)
    hear(worklist, "READER")
    assert worklist.unsubscribe(GLOBAL, "READER").http == 200
    assert worklist.unsubscribe(GLOBAL, "READER").http == 404
    worklist.create(make_workitem(), 4.0, "1.2")
    worklist.change_state("1.1", "IN PROGRESS", LOCK, 5.0)
    assert hear(worklist, "READER") == []


def test_what_was_not_told_survives_a_restart(worklist, tmp_path):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.subscribe(UID, "WATCHER", 2.0)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 3.0)
    worklist.close()
    again = Worklist(tmp_path)
    again.announce_restart(4.0)
    assert hear(again, "WATCHER") == [(1, UID, "SCHEDULED"), (1, UID, "IN PROGRESS"), (4, GLOBAL, "")]
    with pytest.raises(WorkitemRefused, match="Transaction UID"):
        again.change_state(UID, "CANCELED", "2.25.99", 5.0)
    again.change_state(UID, "CANCELED", LOCK, 5.0)
    assert again.find_untold() == ["WATCHER"]
    again.close()


# How it is found


@pytest.fixture
def crowd(worklist):
    for number in range(6):
        worklist.create(
            make_workitem(
                ScheduledProcedureStepPriority=("HIGH", "MEDIUM", "LOW")[number % 3],
                ProcedureStepLabel=f"step {number}",
                ScheduledProcedureStepStartDateTime=f"2026112{number}080000",
                PatientID=f"P{number}",
                PatientName=f"Doe^{'Jane' if number % 2 else 'John'}",
                ScheduledStationNameCodeSequence=[make_code(f"ROOM{number % 2}")],
                InputReadinessState="READY" if number else "INCOMPLETE",
            ),
            1.0,
            f"1.{number}",
        )
    inputs, request = Dataset(), Dataset()
    inputs.StudyInstanceUID, request.AccessionNumber = "1.2.3.4", "A17"
    changes = Dataset()
    changes.InputInformationSequence = [inputs]
    worklist.update("1.2", changes, 2.0)
    changes = Dataset()
    changes.ReferencedRequestSequence = [request]
    changes.CommentsOnTheScheduledProcedureStep = 'see the "Wärd\\7'
    worklist.update("1.4", changes, 2.0)
    worklist.change_state("1.5", "IN PROGRESS", LOCK, 3.0)
    return worklist


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("00741000", "IN PROGRESS", "5"),
        ("00741000", "IN PROGRESS\\CANCELED", "5"),
        ("00741200", "HIGH", "03"),
        ("00741204", "step 2", "2"),
        ("00741204", "*", "031425"),
        ("00100020", "P3", "3"),
        ("00100010", "doe^jane", "315"),
        ("00404025.00080100", "ROOM1", "315"),
        ("00404041", "INCOMPLETE", "0"),
        ("00404005", "20261122-20261124", "342"),
        ("00404005", "-20261120", "0"),
        ("0040A370.00080050", "A17", "4"),
        ("00080018", "1.2\\1.3", "32"),
        ("00400400", "see*", "4"),
        ("00400400", "s?e the*", "4"),
        ("00400400", 'see the "Wärd\\7', "4"),
        ("00400400", "see", ""),
        ("00100030", "19700101", "031425"),
        ("00100030", "19700102", ""),
        ("00100030", "19690101-19710101", "031425"),
        ("00404021.0020000D", "1.2.3.4", "2"),
        ("00404018.00080104", "Computer Aided Detection", "031425"),
        ("00404018.00080100", "110004", "031425"),
    ],
)
def test_workitems_are_found_by_key_the_urgent_first(crowd, path, value, found):
    assert "".join(item.uid[2:] for item in crowd.search([(path, value)])) == found


def test_workitems_that_an_older_version_wrote_are_found_by_key_too(crowd):
    with crowd._engine.begin() as db:
        db.exec_driver_sql("UPDATE workitem SET lean = ''")
    assert [item.uid for item in crowd.search([("00400400", "see*")])] == ["1.4"]
    assert len(crowd.search([("00100030", "19700101")])) == 6


def test_a_page_is_a_part_of_the_whole(crowd):
    for keys in ([], [("00400400", "see*")]):
        whole = [item.uid for item in crowd.search(keys)]
        assert [item.uid for at in range(6) for item in crowd.search(keys, limit=1, offset=at)] == whole


def test_an_identifier_finds_as_its_keys_do(crowd):
    identifier, station = Dataset(), make_code("ROOM0")
    del station.CodingSchemeDesignator, station.CodeMeaning
    identifier.ScheduledStationNameCodeSequence = [station]
    identifier.ProcedureStepState = "SCHEDULED"
    identifier.PatientName = ""
    identifier.SpecificCharacterSet = "ISO_IR 100"
    assert [item.uid for item in crowd.search(identifier)] == ["1.0", "1.4", "1.2"]
    identifier.ScheduledProcedureStepStartDateTime = "tomorrow"
    with pytest.raises(WorkitemRefused):
        crowd.search(identifier)


# Who holds it, and when it goes


def claim_all(home, lock):
    worklist = Worklist(home)
    held = []
    for number in range(100):
        try:
            worklist.change_state(f"1.{number}", "IN PROGRESS", lock, 2.0)
            held.append(number)
        except WorkitemRefused:
            pass
    worklist.close()
    return held


def test_two_processes_that_race_for_a_hundred_never_hold_one_twice(worklist, tmp_path):
    for number in range(100):
        worklist.create(make_workitem(), 1.0, f"1.{number}")
    with get_context("fork").Pool(2) as pool:
        first, second = pool.starmap(claim_all, [(tmp_path, "2.25.1"), (tmp_path, "2.25.2")])
    assert sorted(first + second) == list(range(100))


def test_threads_that_open_it_at_once_find_one_worklist(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        books = list(pool.map(lambda _: Worklist(tmp_path), range(4)))
    books[0].create(make_workitem(), 1.0, UID)
    assert [book.get(UID).state for book in books] == ["SCHEDULED"] * 4
    for book in books:
        book.close()


def test_a_final_one_stays_a_day_and_as_long_as_somebody_holds_it(worklist):
    for uid in ("1.1", "1.2", "1.3"):
        worklist.create(make_workitem(), 1.0, uid)
    worklist.subscribe("1.1", "KEEPER", 2.0, lock=True)
    worklist.subscribe("1.2", "READER", 2.0)
    for uid in ("1.1", "1.2"):
        worklist.request_cancel(uid, Dataset(), "WARD", 10.0)
    assert worklist.delete_final(9.0 + DAY) == 0
    assert worklist.delete_final(10.0 + DAY) == 1
    assert [item.uid for item in worklist.search([])] == ["1.1", "1.3"]
    for verb in (
        lambda: worklist.get("1.2"),
        lambda: worklist.update("1.2", make_progress("1"), 20.0),
        lambda: worklist.change_state("1.2", "IN PROGRESS", LOCK, 20.0),
        lambda: worklist.subscribe("1.2", "READER", 20.0),
    ):
        with pytest.raises(WorkitemRefused, match="deleted") as refused:
            verb()
        assert (refused.value.status, refused.value.http) == (0xC307, 410)
    worklist.subscribe("1.1", "KEEPER", 20.0, lock=False)
    assert worklist.delete_final(20.0 + DAY) == 1
    assert worklist.delete_final(10.0 + 40 * DAY) == 0
    with pytest.raises(WorkitemRefused, match="no such workitem"):
        worklist.get("1.2")


def test_only_its_owner_may_read_the_file_and_the_deleted_leave_no_patient_in_it(worklist, tmp_path):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.request_cancel(UID, Dataset(), "WARD", 10.0)
    worklist.delete_final(10.0 + DAY)
    assert (tmp_path / "worklist.sqlite").stat().st_mode & 0o077 == 0
    with worklist._reader.connect() as db:
        row = db.exec_driver_sql("SELECT * FROM workitem").mappings().one()
    assert "Doe" not in json.dumps(dict(row)).title()
    assert "P1" not in dict(row).values()
