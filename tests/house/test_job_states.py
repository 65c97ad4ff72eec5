"""The state machine is a table, and the table is the one that was agreed."""

from node.model.job import FINAL, TRANSITIONS, State


def test_the_table_knows_every_state():
    assert set(TRANSITIONS) == set(State)


def test_any_unfinished_state_may_fail_and_finished_ones_may_not():
    for state in State:
        assert (State.FAILED in TRANSITIONS[state]) is (state not in FINAL)


def test_only_an_operator_leaves_a_final_state():
    assert {state: set(TRANSITIONS[state]) for state in FINAL} == {
        State.CONFIRMED: {State.ENCODED},
        State.CANCELED: set(),
        State.FAILED: {State.QUEUED, State.ENCODED},
    }


def test_delivered_results_are_never_canceled():
    assert {state for state in State if State.CANCELED in TRANSITIONS[state]} == {
        State.QUEUED,
        State.CLAIMED,
        State.ENCODED,
    }
