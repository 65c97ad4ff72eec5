"""A study is complete on evidence."""

from datetime import timedelta

import pytest

from node.inbound.assemble import DOUBT, Arrival, Claim, Says, Verdict, judge_study
from node.model.study import Study, StudyState
from node.sections import Completeness

RULES = Completeness(quiet=timedelta(seconds=10), broken=timedelta(seconds=60), give_up=timedelta(seconds=100))
STUDY = Study("1.2.3", StudyState.RECEIVING, 1, 1000.0, 1005.0, None, "", "")
RELEASED = Arrival("SCU", 1000.0, 1006.0, "released")
OPEN = Arrival("SCU", 1000.0, None, "")


def judge(arrivals, now, *claims):
    return judge_study(STUDY, arrivals, claims, RULES, now)


def test_released_and_quiet_is_complete():
    judgment = judge([RELEASED], 1015.5)
    assert judgment.verdict == Verdict.COMPLETE
    assert judgment.text == "complete: associations 1 released, no image for 10.5 s"


def test_a_study_that_goes_on_arriving_is_not_complete():
    assert judge([RELEASED], 1014.0).verdict == Verdict.WAIT
    assert judge([RELEASED, Arrival("SCU", 1006.0, None, "")], 1050.0).verdict == Verdict.WAIT


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_a_broken_association_waits_for_its_sender_to_come_again(how):
    broken = Arrival("SCU", 1000.0, 1005.0, how)
    assert judge([broken], 1050.0).verdict == Verdict.WAIT
    assert judge([broken, RELEASED], 1050.0).verdict == Verdict.COMPLETE


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_a_sender_that_does_not_come_again_is_not_waited_for_longer_than_broken(how):
    judgment = judge([Arrival("SCU", 1000.0, 1005.0, how)], 1066.0)
    assert judgment.verdict == Verdict.GAVE_UP
    assert DOUBT in judgment.text


def test_after_give_up_what_is_there_may_be_closed_and_is_said_to_be_incomplete():
    judgment = judge([OPEN], 1105.0)
    assert judgment.verdict == Verdict.GAVE_UP
    assert DOUBT in judgment.text


def test_a_line_left_idle_counts_as_released():
    assert judge([Arrival("SCU", 1000.0, 1060.0, "idle")], 1061.0).verdict == Verdict.COMPLETE


def test_what_is_all_here_is_complete_without_waiting():
    judgment = judge([RELEASED], 1006.1, Claim(Says.HERE, "pacs counts 40 instances, all are here"))
    assert judgment.verdict == Verdict.COMPLETE
    assert judgment.text == "complete: pacs counts 40 instances, all are here (associations 1 released)"


def test_what_is_all_here_while_an_association_is_open_waits_for_quiet_alone():
    here = Claim(Says.HERE, "all 40 instances announced are here")
    assert judge([OPEN], 1014.0, here).verdict == Verdict.WAIT
    assert judge([OPEN], 1015.0, here).verdict == Verdict.COMPLETE


def test_what_is_all_here_needs_no_sender_that_broke_off():
    broken = Arrival("SCU", 1000.0, 1005.0, "aborted")
    assert judge([broken], 1006.0, Claim(Says.HERE, "all")).verdict == Verdict.COMPLETE


def test_what_lacks_is_waited_for_until_give_up_and_named():
    lacking = Claim(Says.LACKING, "pacs counts 412 instances, 380 are here")
    waiting = judge([RELEASED], 1104.9, lacking, Claim(Says.HERE, "all 380 instances announced are here"))
    assert (waiting.verdict, waiting.text) == (Verdict.WAIT, "waits: pacs counts 412 instances, 380 are here")
    gave_up = judge([RELEASED], 1105.0, lacking)
    assert gave_up.verdict == Verdict.GAVE_UP
    assert "pacs counts 412 instances, 380 are here" in gave_up.text
    assert DOUBT in gave_up.text


def test_an_answer_that_is_due_is_waited_for_beyond_quiet():
    asked = judge([RELEASED], 1020.0, Claim(Says.ASKED, "pacs is asked how many instances it has"))
    assert asked.verdict == Verdict.WAIT
    assert "is asked" in asked.text


def test_without_an_answer_quiet_decides_and_the_evidence_says_so():
    unsure = Claim(Says.UNSURE, "pacs does not say how many instances it has (PeerUnreachable)")
    assert judge([RELEASED], 1014.0, unsure).verdict == Verdict.WAIT
    judgment = judge([RELEASED], 1015.0, unsure)
    assert judgment.verdict == Verdict.COMPLETE
    assert judgment.text.endswith("; pacs does not say how many instances it has (PeerUnreachable)")


def test_an_operators_word_goes_before_everything_and_the_doubt_stays():
    said, lacking = (
        Claim(Says.ENOUGH, "an operator said so"),
        Claim(Says.LACKING, "pacs counts 3 instances, 2 are here"),
    )
    judgment = judge([OPEN], 1005.1, lacking, said)
    assert judgment.verdict == Verdict.COMPLETE
    assert judgment.text == f"complete: an operator said so; pacs counts 3 instances, 2 are here; {DOUBT}"
    assert DOUBT not in judge([OPEN], 1005.1, said).text
