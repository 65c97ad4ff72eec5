"""A study is complete on evidence."""

from datetime import timedelta

import pytest

from node.inbound.assemble import Arrival, find_evidence
from node.model.study import Study, StudyState
from node.sections import Completeness

RULES = Completeness(quiet=timedelta(seconds=10), broken=timedelta(seconds=60), give_up=timedelta(seconds=100))
STUDY = Study("1.2.3", StudyState.RECEIVING, 1, 1000.0, 1005.0, None, "", "")
RELEASED = Arrival("SCU", 1000.0, 1006.0, "released")


def test_released_and_quiet_is_complete():
    assert "complete: associations 1 released" in find_evidence(STUDY, [RELEASED], RULES, 1015.5)


def test_a_study_that_goes_on_arriving_is_not_complete():
    assert find_evidence(STUDY, [RELEASED], RULES, 1014.0) is None
    still_open = Arrival("SCU", 1006.0, None, "")
    assert find_evidence(STUDY, [RELEASED, still_open], RULES, 1050.0) is None


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_a_broken_association_waits_for_its_sender_to_come_again(how):
    broken = Arrival("SCU", 1000.0, 1005.0, how)
    assert find_evidence(STUDY, [broken], RULES, 1050.0) is None
    assert find_evidence(STUDY, [broken, RELEASED], RULES, 1050.0) is not None


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_a_sender_that_does_not_come_again_is_not_waited_for_longer_than_broken(how):
    broken = Arrival("SCU", 1000.0, 1005.0, how)
    assert "may be incomplete" in find_evidence(STUDY, [broken], RULES, 1066.0)


def test_after_give_up_what_is_there_is_processed_and_said_to_be_incomplete():
    still_open = Arrival("SCU", 1000.0, None, "")
    assert "may be incomplete" in find_evidence(STUDY, [still_open], RULES, 1105.0)


def test_a_line_left_idle_counts_as_released():
    assert find_evidence(STUDY, [Arrival("SCU", 1000.0, 1060.0, "idle")], RULES, 1061.0) is not None
