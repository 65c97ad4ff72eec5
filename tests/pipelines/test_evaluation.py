"""Figures of a pipeline against values worked out by hand."""

import numpy as np
import pytest

from pipelines.evaluation.figures import (
    get_auc,
    get_sensitivity,
    make_tables,
    tabulate_dice,
    tabulate_labels,
    tabulate_parts,
)
from pipelines.evaluation.interval import find_interval
from pipelines.evaluation.markdown import write_markdown
from pipelines.evaluation.reference import Outcome, Reference, Target, get_overlap, judge, match_targets, refuse
from pipelines.terms import Box, Code, Finding, Measurement, Result, Segment, Volume

BONE = Code("272673000", "SCT", "Bone")
PROBABILITY = Code("122157", "DCM", "Probability")
NO_UNITS = Code("1", "UCUM", "no units")
QUESTION, YES, NO = Code("Q", "99T", "Is it"), Code("Y", "99T", "Yes"), Code("N", "99T", "No")
AFFINE = np.array([[0, 0, -1.0, 50], [0, 1.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])
"""k steps 2 mm up, i steps 1 mm to the right (-x) from x = 50."""


def make_mask(*places, shape=(2, 3, 4)):
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


def boxed(key, low, high, probability=None, absent=False):
    measured = () if probability is None else (Measurement(PROBABILITY, probability, NO_UNITS),)
    return Finding(key, BONE, measurements=measured, box=Box(low, high), absent=absent)


def test_dice_is_twice_what_is_common_over_the_sum():
    a, b = make_mask((0, 0, 0), (0, 0, 1), (0, 0, 2)), make_mask((0, 0, 1), (0, 0, 2), (1, 2, 3), (1, 1, 1))
    assert get_overlap(a, b) == pytest.approx(2 * 2 / 7)
    assert get_overlap(a, make_mask()) == 0
    assert get_overlap(make_mask(), make_mask()) == 1


def test_both_sides_of_a_pair_answer_to_its_name():
    right, left = make_mask((0, 0, 0)), make_mask((1, 1, 1))
    segments = [Segment(f"{side}-lung", side, BONE, BONE, mask) for side, mask in (("right", right), ("left", left))]
    result = Result(tuple(segments), (Finding("lungs", BONE),))
    volume = Volume(np.zeros((2, 3, 4), np.float32), AFFINE, "1.2.3", "CT")
    outcome = judge("a", result, volume, Reference({"Lung": right | left, "left-lung": left, "liver": left}))
    assert outcome.dice == {"Lung": 1.0, "left-lung": 1.0, "liver": 0.0}


def test_a_ball_has_no_corners_and_a_box_has():
    corner = (9.0, 9.0, 9.0)
    assert Target((0, 0, 0), (10, 10, 10)).holds(corner)
    assert not Target((0, 0, 0), (10, 10, 10), round=True).holds(corner)
    assert Target((0, 0, 0), (10, 10, 10), round=True).holds((5, 9.9, 5))


def test_findings_hit_targets_where_they_lie_in_the_patient():
    # The middle of voxels (k, j, i) = (1, 2, 3) is (47, 2, 2) mm.
    here, beside = Target((46, 1, 1), (48, 3, 3)), Target((-48, 1, 1), (-46, 3, 3))
    findings = (
        boxed("a", (0.5, 1.5, 2.5), (1.5, 2.5, 3.5), 0.7),
        boxed("again", (0.9, 1.9, 2.9), (1.1, 2.1, 3.1), 0.9),
        boxed("far", (8, 8, 8), (9, 9, 9), 0.4),
        boxed("sure", (18, 8, 8), (19, 9, 9)),
        boxed("none", (8, 8, 8), (9, 9, 9), absent=True),
        Finding("nowhere", BONE),
    )
    assert match_targets(Result((), findings), AFFINE, (here, beside)) == ((0.4, 1.0), (0.9, 0.0))


def test_sensitivity_by_false_findings_per_case():
    cases = [Outcome("a", false=(0.8,), hits=(0.9, 0.0)), Outcome("b", false=(0.3,), hits=(0.4,))]
    assert get_sensitivity(cases, (0.25,)) == pytest.approx(1 / 3)
    assert get_sensitivity(cases, (1.0,)) == pytest.approx(2 / 3)
    assert get_sensitivity(cases) == pytest.approx((1 / 3 + 5 * 2 / 3) / 6)
    assert get_sensitivity([Outcome("a", hits=(0.5,))]) == 1.0
    assert get_sensitivity([Outcome("a", hits=())]) is None


def test_area_under_the_curve_is_the_share_of_pairs_in_order():
    assert get_auc([(0.1, False), (0.4, True), (0.35, False), (0.8, True)]) == 1.0
    assert get_auc([(0.1, True), (0.4, False), (0.8, True)]) == 0.5
    assert get_auc([(0.5, True), (0.5, False)]) == 0.5
    assert get_auc([(0.5, True)]) is None


def test_an_interval_is_seeded_and_drawn_by_patient():
    mean = lambda values: float(np.mean(values))  # noqa: E731
    values = [0.1, 0.4, 0.8, 0.9]
    once = find_interval(values, list("abcd"), mean)
    assert once == find_interval(values, list("abcd"), mean)
    assert 0.1 <= once[0] < 0.55 < once[1] <= 0.9
    assert find_interval([0.0, 1.0], ["a", "b"], mean) == (0.0, 1.0)
    assert find_interval([0.0, 1.0], ["a", "a"], mean) is None
    assert find_interval([0.0, 1.0, 0.5], ["a", "a", "b"], mean) == (0.5, 0.5)


def test_classes_are_right_wrong_or_left_open():
    pairs = [("yes", "yes"), ("no", "yes"), ("", "yes"), ("no", "no")]
    cases = [Outcome(str(n), labels={"Is it": pair}) for n, pair in enumerate(pairs)]
    ((question, *counts, _),) = tabulate_labels(cases).rows
    assert (question, counts) == ("Is it", ["4", "4", "2", "1", "1", "0.667"])


def test_parts_are_counted_by_themselves():
    cases = [
        Outcome("a", labels={"Is it": ("yes", "yes")}, part="head"),
        Outcome("b", labels={"Is it": ("", "yes")}, part="chest"),
        Outcome("c", labels={"Is it": ("no", "yes")}, part="chest", patient="b"),
        Outcome("d", labels={"Is it": ("no", "yes")}),
    ]
    assert tabulate_parts(cases).rows == (
        ("head", "Is it", "1", "1", "1", "0", "0"),
        ("chest", "Is it", "2", "1", "0", "1", "1"),
    )


def test_answers_are_compared_without_regard_to_capitals():
    result = Result((), (Finding("a", BONE, qualifiers=((QUESTION, YES),)),))
    volume = Volume(np.zeros((2, 3, 4), np.float32), AFFINE, "1.2.3", "CT")
    outcome = judge(
        "a", result, volume, Reference(labels={"is IT": "YES", "other": "No"}, scores={"Probability": True})
    )
    assert outcome.labels == {"is IT": ("yes", "yes"), "other": ("", "no")}
    assert outcome.scores == {}


def test_a_refused_case_counts_as_nothing_found():
    truth = Reference({"lung": make_mask((0, 0, 0))}, (Target((0, 0, 0), (1, 1, 1)),), {"Is it": "Yes"})
    refused = refuse("b", "WrongBodyPart: a head", truth)
    good = Outcome("a", dice={"lung": 0.9}, hits=(0.8,), labels={"Is it": ("yes", "yes")}, patient="p")
    (row,) = tabulate_dice([good, refused]).rows
    assert row[:4] == ("lung", "2", "2", "0.450")
    assert row[-1] == "0.000 (b)"
    tables = list(make_tables([good, refused]))
    assert [table.title for table in tables] == ["Overlap", "Sensitivity by false findings per case", "Classification"]
    text = write_markdown("x 1", "wetread evaluate x y", "Few.", tables, [good, refused])
    assert "- No answer for b: WrongBodyPart: a head" in text
    assert "- Worst case: b" in text
    assert "| lung | 2 | 2 | 0.450 |" in text


def test_a_wrong_answer_is_named():
    text = write_markdown("x 1", "", "", [], [Outcome("a", labels={"Is it": ("no", "yes")})])
    assert "- Wrong in a: Is it is yes, the answer was no" in text
    assert "none, all are faultless" in write_markdown("x 1", "", "", [], [Outcome("a")])
