"""Every cell of PS3.4 Table CC.1.1-2, and of the rules for N-SET beside it, asked from outside."""

import pytest
from pydicom import Dataset

from node.errors import WorkitemRefused
from node.worklist import Worklist
from tests.workitems import make_performed, make_progress, make_workitem
from tests.worklist_table import AFTER, LOCK, LOCKS, ROWS, STATE_WORDS, STATES, UID, find_warning


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
    assert warning == find_warning(request_, code)
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
