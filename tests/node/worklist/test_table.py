"""Every cell of PS3.4 Table CC.1.1-2, and of the rules for N-SET beside it, asked from outside."""

import pytest
from pydicom import Dataset

from node.errors import WorkitemRefused
from node.worklist import Worklist
from tests.workitems import make_performed, make_progress, make_workitem

UID, LOCK, OTHER = "1.2.826.1", "2.25.11", "2.25.22"
STATES = ("absent", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")

CELLS = """
create             | 0000 201 | 0111 409 | 0111 409 | 0111 409 | 0111 409
claim, right       | C307 404 | 0000 200 | C302 409 | C300 409 | C300 409
claim, none        | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
claim, other       | C307 404 | -        | C301 400 | C301 400 | C301 400
schedule, right    | C307 404 | C303 409 | C303 409 | C303 409 | C303 409
schedule, none     | C307 404 | C303 409 | C303 409 | C303 409 | C303 409
complete, right    | C307 404 | C310 409 | 0000 200 | B306 200 | C300 409
complete, none     | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
complete, other    | C307 404 | -        | C301 400 | C301 400 | C301 400
cancel, right      | C307 404 | C310 409 | 0000 200 | C300 409 | B304 200
cancel, none       | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
cancel, other      | C307 404 | -        | C301 400 | C301 400 | C301 400
ask to cancel      | C307 404 | 0000 202 | 0000 202 | C311 409 | B304 202
set, right         | C307 404 | C310 409 | 0000 200 | C300 400 | C300 400
set, none          | C307 404 | 0000 200 | C301 400 | C300 400 | C300 400
set, other         | C307 404 | -        | C301 400 | C300 400 | C300 400
"""
"""DIMSE status and HTTP status for each state; "-": of a workitem that nobody holds no Transaction UID is another."""

ROWS = [[part.strip() for part in line.split("|")] for line in CELLS.strip().splitlines()]
AFTER = {
    ("create", "absent"): "SCHEDULED",
    ("claim, right", "SCHEDULED"): "IN PROGRESS",
    ("complete, right", "IN PROGRESS"): "COMPLETED",
    ("cancel, right", "IN PROGRESS"): "CANCELED",
    ("ask to cancel", "SCHEDULED"): "CANCELED",
}
WARNINGS = {
    ("C301", "none"): "The Transaction UID is missing.",
    ("C301", "other"): "The Transaction UID is incorrect.",
    ("B304", ""): "The UPS is already in the requested state of CANCELED.",
    ("B306", ""): "The UPS is already in the requested state of COMPLETED.",
}
STATE_WORDS = {"claim": "IN PROGRESS", "schedule": "SCHEDULED", "complete": "COMPLETED", "cancel": "CANCELED"}
LOCKS = {"right": LOCK, "none": "", "other": OTHER}


@pytest.fixture
def worklist(tmp_path):
    book = Worklist(tmp_path)
    yield book
    book.close()


def bring(worklist, state):
    """A workitem in `state`, held by LOCK where it is or was held."""
    if state == "absent":
        return
    worklist.create(make_workitem(), 1.0, UID)
    if state != "SCHEDULED":
        worklist.change_state(UID, "IN PROGRESS", LOCK, 2.0)
        worklist.update(UID, make_performed(), 3.0, LOCK)
    if state in ("COMPLETED", "CANCELED"):
        worklist.change_state(UID, state, LOCK, 4.0)


def ask(worklist, request):
    """(DIMSE status, HTTP status, Warning) as the verb answers or refuses."""
    verb, _, which = request.partition(", ")
    lock = LOCKS.get(which, "")
    try:
        if verb == "create":
            outcome = worklist.create(make_workitem(), 9.0, UID)[1]
        elif verb == "ask to cancel":
            outcome = worklist.request_cancel(UID, Dataset(), "SOMEBODY", 9.0)
        elif verb == "set":
            outcome = worklist.update(UID, make_progress("50"), 9.0, lock)
        else:
            outcome = worklist.change_state(UID, STATE_WORDS[verb], lock, 9.0)
    except WorkitemRefused as refusal:
        return refusal.status, refusal.http, refusal.warning
    return outcome.status, outcome.http, outcome.warning


@pytest.mark.parametrize(
    ("request_", "state", "cell"),
    [(row[0], state, cell) for row in ROWS for state, cell in zip(STATES, row[1:], strict=True) if cell != "-"],
)
def test_each_cell_answers_as_the_standard_says(worklist, request_, state, cell):
    bring(worklist, state)
    code, http = cell.split()
    status, answered, warning = ask(worklist, request_)
    assert (f"{status:04X}", answered) == (code, int(http))
    which = request_.partition(", ")[2]
    if code in ("B304", "B306"):
        assert warning == WARNINGS[code, ""]
    elif code == "C301" and not request_.startswith("set"):
        assert warning == WARNINGS[code, which]
    elif code in ("C300", "C302", "C303", "C310", "C311") or (request_.startswith("set") and code == "C301"):
        assert warning
    else:
        assert warning == ""
    after = AFTER.get((request_, state), state)
    if after == "absent":
        with pytest.raises(WorkitemRefused, match="no such workitem"):
            worklist.get(UID)
    else:
        assert worklist.get(UID).state == after


def test_the_table_has_every_row_and_state_of_the_standard():
    assert len(ROWS) == 16
    assert all(len(row) == 1 + len(STATES) for row in ROWS)


@pytest.mark.parametrize("lacks", make_performed().UnifiedProcedureStepPerformedProcedureSequence[0].dir())
def test_complete_needs_all_that_a_final_state_needs(worklist, lacks):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 2.0)
    worklist.update(UID, make_performed(lacks), 3.0, LOCK)
    with pytest.raises(WorkitemRefused, match=lacks) as refused:
        worklist.change_state(UID, "COMPLETED", LOCK, 4.0)
    assert (refused.value.status, refused.value.http) == (0xC304, 409)
    assert worklist.get(UID).state == "IN PROGRESS"


def test_cancel_needs_nothing_of_the_performer(worklist):
    worklist.create(make_workitem(), 1.0, UID)
    worklist.change_state(UID, "IN PROGRESS", LOCK, 2.0)
    worklist.change_state(UID, "CANCELED", LOCK, 1000.0)
    found = Dataset.from_json(worklist.get(UID).model)
    progress = found.ProcedureStepProgressInformationSequence[0]
    assert progress.ProcedureStepCancellationDateTime.startswith("1970")
