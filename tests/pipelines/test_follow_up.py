"""Lesions of two studies are matched by where the registration says they lie, and their growth is what it is."""

import math

import numpy as np
import pytest

from pipelines.errors import MissingInputs
from pipelines.follow_up import findings as f
from pipelines.follow_up.findings import Comparison, find_doubling_days, make_result
from pipelines.follow_up.lesions import measure_lesions
from pipelines.follow_up.match import match_lesions
from pipelines.follow_up.pipeline import pipeline
from pipelines.registration.deformable import Deformed
from pipelines.registration.rigid import Rigid
from pipelines.terms import Code, Context, PriorStudy, Registration, Segment, Tracking, Volume
from tests.pipelines.chest import make_affine
from tests.pipelines.registration.volumes import make_motion

NODULE, MASS = Code("27925004", "SCT", "Nodule"), Code("4147007", "SCT", "Mass")
ORGAN = Code("123037004", "SCT", "Anatomical Structure")
SHAPE = (60, 60, 60)
MOTION = make_motion((0, 0, 10), (5, -3, 100))
"""From this study to the earlier one."""


def make_volume(affine=None):
    return Volume(np.zeros(SHAPE, np.float32), make_affine((2, 2, 2)) if affine is None else affine, "1.2", "CT")


FIXED, MOVING = make_volume(), make_volume(MOTION @ make_affine((2, 2, 2)))


def ball(key, center, radius_mm, kind=NODULE, tracking=None, category=f.LESION):
    """A ball around `center` (mm from the corner, x y z); the earlier study's grid turns with the patient."""
    k, j, i = (2 * axis for axis in np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]])
    x, y, z = center
    mask = (i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2 <= radius_mm**2
    return Segment(key, key, category, kind, mask, tracking=tracking)


def compare(earlier, now, days=100, field=None, fixed=FIXED, moving=MOVING):
    registration = Registration("prior", "1.3", "earlier", np.linalg.inv(MOTION), field)
    lesions = [
        measure_lesions({one.key: one for one in segments}, volume)
        for segments, volume in ((earlier, moving), (now, fixed))
    ]
    matches = match_lesions(*lesions, registration, fixed, moving)
    rigid, bent = Rigid(np.eye(4), 0.95, 0.9, 0.5, 1.0), Deformed(None, 0.5, 0.9, 0.95, 8.0)
    return make_result(Comparison(days, rigid, bent, registration, matches), [], {})


def by_key(result):
    return {finding.key: finding for finding in result.findings}


def numbers(finding):
    return {one.concept.value: one.value for one in finding.measurements}


def change(finding):
    return dict(finding.qualifiers)[f.CHANGE]


def test_a_nodule_that_grew_is_found_again_and_its_growth_is_that_of_its_balls():
    tracking = Tracking("lung-nodule/nodule-7", "1.2.3.4")
    result = compare([ball("a", (40, 40, 40), 8, tracking=tracking)], [ball("b", (44, 40, 40), 12)], days=100)
    grown = by_key(result)["b"]
    said = numbers(grown)
    small, large = (int(ball("x", (40, 40, 40), r).mask.sum()) * 0.008 for r in (8, 12))
    assert said["118565006"] == pytest.approx(large, rel=0.05)
    assert said["FU-VOL0"] == pytest.approx(small, rel=1e-3)
    assert said["FU-DVOL"] == pytest.approx(said["118565006"] - said["FU-VOL0"], abs=1e-3)
    assert said["FU-VDT"] == pytest.approx(100 * math.log(2) / math.log(said["118565006"] / said["FU-VOL0"]), abs=0.2)
    assert said["FU-DAX"] == pytest.approx(8, abs=1.5)
    assert said["FU-DAYS"] == 100
    assert change(grown) == f.LARGER
    assert result.segments[0].tracking == tracking
    assert result.registrations[0].frame_of_reference_uid == "1.3"


def test_what_shrank_has_no_doubling_time_and_what_stayed_is_stable():
    result = compare(
        [ball("a", (30, 30, 30), 12), ball("b", (80, 80, 80), 9)],
        [ball("small", (30, 30, 30), 8), ball("same", (80, 82, 80), 9)],
    )
    assert [change(by_key(result)[key]) for key in ("small", "same")] == [f.SMALLER, f.STABLE]
    assert all("FU-VDT" not in numbers(finding) for finding in result.findings)


def test_the_nearest_sum_decides_between_neighbors_and_kinds_are_never_mixed():
    earlier = [ball("a", (40, 40, 40), 6), ball("b", (58, 40, 40), 6), ball("m", (80, 80, 40), 6, MASS)]
    now = [ball("A", (48, 40, 40), 6), ball("B", (66, 40, 40), 6), ball("N", (80, 80, 40), 6)]
    found = by_key(compare(earlier, now))
    assert "FU-VOL0" in numbers(found["A"])
    assert "FU-VOL0" in numbers(found["B"])
    assert change(found["N"]) == f.NEW
    assert [finding.concept for key, finding in found.items() if key.startswith("gone")] == [MASS]


def test_new_gone_and_what_the_other_study_does_not_show_are_told_apart():
    tracking = Tracking("lung-nodule/nodule-1", "1.2.3.5")
    result = compare([ball("old", (30, 30, 30), 8, tracking=tracking)], [ball("young", (90, 90, 90), 8)])
    found = by_key(result)
    assert change(found["young"]) == f.NEW
    assert (found["gone-1"].absent, found["gone-1"].tracking) == (True, tracking)
    assert change(found["gone-1"]) == f.GONE
    cut = Volume(np.zeros((20, 60, 60), np.float32), MOVING.affine, "1.3", "CT")
    earlier_cut = compare([], [ball("young", (90, 90, 90), 8)], moving=cut)
    assert change(by_key(earlier_cut)["young"]) == f.UNKNOWN
    low = Volume(np.zeros((10, 60, 60), np.float32), FIXED.affine, "1.2", "CT")
    beyond = compare([ball("old", (30, 30, 90), 8)], [], fixed=low)
    assert not any(key.startswith("gone") for key in by_key(beyond))
    assert any("1 of the earlier study's lesions" in note.text for note in beyond.notes)


def test_organs_are_no_lesions_and_nothing_in_both_is_absent():
    organ = ball("lung", (60, 60, 60), 30, category=ORGAN)
    result = compare([organ], [organ])
    assert not result.is_positive
    assert [finding.key for finding in result.findings] == ["lesion"]


@pytest.mark.parametrize(
    ("before", "now", "days", "expected"),
    [(1.0, 2.0, 90, 90), (1.0, 4.0, 90, 45), (1.0, 1.2, 90, None), (1.0, 2.0, 0, None), (2.0, 1.0, 90, None)],
)
def test_the_doubling_time_is_known_where_there_is_growth_and_time(before, now, days, expected):
    found = find_doubling_days(before, now, days)
    assert found == (None if expected is None else pytest.approx(expected))


def test_without_an_earlier_study_it_did_not_run():
    def progress(*_):
        pass

    for context in (Context(), Context((PriorStudy(3, lambda: None),))):
        with pytest.raises(MissingInputs, match="compares two studies"):
            pipeline.run_with(FIXED, context, progress)
    with pytest.raises(MissingInputs):
        pipeline.run(FIXED, progress)
