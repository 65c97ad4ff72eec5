"""A comparison says how far the two directions of its registration miss each other: little where it is right, much
where it was broken on purpose; and what it answered stays as it was."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.errors import MissingInputs, NoOverlap, NotConverged
from pipelines.follow_up import explain
from pipelines.follow_up.explain import explain_comparison, lay_back, state_errors
from pipelines.follow_up.pipeline import pipeline
from pipelines.pipeline import ContextExplainingModel
from pipelines.registration.consistency import NOTHING
from pipelines.registration.points import find_displacements, to_moving
from pipelines.terms import Code, Context, Field, PriorStudy, Registration, Segment, Severity, Volume
from tests.pipelines.chest import make_chest
from tests.pipelines.registration.test_rigid import store_sideways
from tests.pipelines.registration.volumes import breathe, make_motion, move

LESION, NODULE = Code("49755003", "SCT", "Morphologically Abnormal Structure"), Code("27925004", "SCT", "Nodule")
MOTION = make_motion((3, -2, 4), (20, -10, 160))
QUIET = lambda *_: None  # noqa: E731
CENTERS = {"one": (-80.0, 0.0, -30.0), "two": (85.0, 5.0, 20.0), "new": (-70.0, -20.0, 60.0)}
"""mm, LPS, in this study."""
RADIUS = 9.0


def find_ball(volume, center, where=lambda points: points):
    index = np.stack([axis.ravel() for axis in np.mgrid[tuple(map(slice, volume.shape))]], axis=1)
    points = where(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])
    return (np.linalg.norm(points - np.array(center), axis=1) <= RADIUS).reshape(volume.shape)


def make_segments(volume, names, where=lambda points: points):
    masks = {name: find_ball(volume, CENTERS[name], where) for name in names}
    return {name: Segment(name, f"Nodule {name}", LESION, NODULE, mask) for name, mask in masks.items()}


def make_study(names):
    """A chest with a tilted bar, vessels and balls, so that it can be laid on itself in one way."""
    volume, _, _ = make_chest((5.0, 4.0, 4.0), (240.0, 260.0, 380.0))
    k, j, i = np.ogrid[tuple(map(slice, volume.shape))]
    voxels = volume.voxels.copy()
    voxels[(np.abs(i - 20 - 0.8 * k) < 3) & (np.abs(j - 45 + 0.3 * k) < 3)] = 600
    for name in names:
        voxels[find_ball(volume, CENTERS[name])] = 40
    return Volume(voxels, volume.affine, "1.2.3", "CT")


@pytest.fixture(scope="module")
def compared():
    """(this study, its earlier one, context, result, result with its explanation, where: a point of the earlier study
    -> that of this one)."""
    now = make_study(("one", "two", "new"))
    moving, where = breathe(make_study(("one", "two")), 12.0)
    earlier = move(moving, MOTION)
    back = np.linalg.inv(MOTION)
    before = make_segments(moving, ("one", "two"), where)
    prior = PriorStudy(60, lambda: earlier, lambda: before)
    context = Context((prior,), make_segments(now, CENTERS), is_complete=True)
    result = pipeline.run_with(now, context, QUIET)
    explained = pipeline.explain_with(now, context, result, "consistency", QUIET)
    return now, earlier, context, result, explained, lambda points: where(points @ back[:3, :3].T + back[:3, 3])


def find_errors(result):
    """Key of a finding -> its inverse consistency error in mm."""
    return {
        finding.key: one.value
        for finding in result.findings
        for one in finding.measurements
        if one.concept.value == "INVERSEERROR"
    }


def measure_miss(points, registration, where):
    """How far in mm `registration` truly misses, at points of this study."""
    return np.linalg.norm(where(to_moving(points, registration)) - points, axis=1)


def place(volume, index):
    return index @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def test_the_answer_stays_and_beside_it_stand_a_map_and_numbers_in_mm(compared):
    now, _, _, result, explained, _ = compared
    assert isinstance(pipeline, ContextExplainingModel)
    assert len(result.registrations[0].field.vectors)
    assert explained.segments == result.segments
    assert explained.registrations == result.registrations
    assert explained.notes[: len(result.notes)] == result.notes
    for old, new in zip(result.findings, explained.findings, strict=True):
        assert replace(new, measurements=old.measurements) == old
        assert new.measurements[: len(old.measurements)] == old.measurements
    (scalars,) = explained.maps
    assert scalars.values.shape == now.shape
    assert (scalars.key, scalars.nothing) == ("consistency", NOTHING)
    assert (scalars.quantity.value, scalars.unit.value, scalars.unit.scheme) == ("INVERSEERROR", "mm", "UCUM")
    assert set(find_errors(explained)) == set(CENTERS)
    added = explained.findings[0].measurements[-1]
    assert (added.unit.value, added.derivation.value, added.method.value) == ("mm", "373098007", "BOTHWAYS")
    for key, error in find_errors(explained).items():
        within = scalars.values[next(one.mask for one in result.segments if one.key == key)]
        assert error == pytest.approx(within[within != NOTHING].mean(), abs=0.01)


def test_where_the_registration_is_right_the_error_is_small_and_large_misses_show(compared):
    now, _, _, result, explained, where = compared
    values = explained.maps[0].values
    index = np.argwhere(values != NOTHING)[::40]
    errors = values[tuple(index.T)]
    miss = measure_miss(place(now, index), result.registrations[0], where)
    assert np.median(errors) < 2.0
    assert miss[errors < 1].mean() < 1.5
    assert miss[errors > 5].mean() > 2 * miss[errors < 1].mean()
    assert np.corrcoef(errors, miss)[0, 1] > 0.3
    assert max(find_errors(explained).values()) < 4.0


def test_what_is_broken_on_purpose_is_seen_at_its_place_and_doubted_in_words(compared):
    now, earlier, _, result, explained, where = compared
    (registration,) = result.registrations
    center, push = np.array(CENTERS["one"]), np.array([0.0, 14.0, 14.0])
    field = registration.field
    nodes = place_nodes(field)
    bump = np.exp(-(((nodes - center) / 25.0) ** 2).sum(axis=-1))[..., None] * push
    broken = replace(registration, field=Field((field.vectors + bump).astype(np.float32), field.affine))
    assert find_displacements(center[None], broken.field) == pytest.approx(
        find_displacements(center[None], field) + push, abs=2.0
    )
    spoiled = explain_comparison(now, earlier, replace(result, registrations=(broken,)), QUIET)
    right, wrong = find_errors(explained), find_errors(spoiled)
    true_miss = measure_miss(center[None], broken, where)[0]
    assert true_miss > 12
    assert wrong["one"] == pytest.approx(true_miss, rel=0.35)
    assert wrong["one"] > right["one"] + 8
    assert wrong["two"] == pytest.approx(right["two"], abs=0.3)
    warned = [note.text for note in spoiled.notes if note.severity == Severity.WARNING]
    assert [text.split(":")[0] for text in warned if "miss each other by" in text] == ["Nodule one"]
    assert not any("miss each other by" in note.text for note in explained.notes)


def place_nodes(field):
    index = np.moveaxis(np.mgrid[tuple(map(slice, field.vectors.shape[:3]))], 0, -1)
    return index @ field.affine[:3, :3].T + field.affine[:3, 3]


def test_the_sentence_gives_mean_and_95_percent_and_says_what_a_small_error_is_not(compared):
    explained = compared[4]
    (text,) = [note.text for note in explained.notes if note.text.startswith("Inverse consistency")]
    known = explained.maps[0].values[explained.maps[0].values != NOTHING]
    assert f"{known.mean():.1f} mm on average, 95 % of places by less than {np.percentile(known, 95):.1f} mm" in text
    assert "may still be wrong: both directions can err alike" in text
    assert "has no value" in text
    said = state_errors(np.array([NOTHING, 2.0, 4.0], np.float32), bent=False)
    assert "by rigid motions alone, a place in the patient misses itself by 3.0 mm" in said


def test_a_study_that_is_stored_backward_has_the_same_map(compared):
    now, earlier, _, result, explained, _ = compared
    rigid = (replace(result.registrations[0], field=None),)
    plain = explain_comparison(now, earlier, replace(result, registrations=rigid), QUIET).maps[0].values
    turned = replace(result, segments=(), findings=result.findings[-1:], registrations=rigid)
    turned = replace(turned, findings=(replace(turned.findings[0], segment_key=None),))
    sideways = explain_comparison(store_sideways(now), store_sideways(earlier), turned, QUIET).maps[0].values
    assert not np.array_equal(plain, explained.maps[0].values)
    both = (sideways != NOTHING) & (plain[::-1].transpose(2, 0, 1) != NOTHING)
    assert both.mean() > 0.3
    assert sideways[both] == pytest.approx(plain[::-1].transpose(2, 0, 1)[both], abs=0.05)


def test_a_lesion_of_which_less_than_half_is_known_has_no_number(compared):
    now, earlier, _, result, _, _ = compared
    end = round((CENTERS["two"][2] - now.affine[2, 3]) / 5.0)  # so many planes of it end within the lesion
    cut = Volume(earlier.voxels[:end].copy(), earlier.affine, earlier.frame_of_reference_uid, "CT")
    rigid = replace(result, registrations=(Registration("prior", "1.2.99", "earlier", np.linalg.inv(MOTION)),))
    explained = explain_comparison(now, cut, rigid, QUIET)
    known = explained.maps[0].values[next(one.mask for one in result.segments if one.key == "two")] != NOTHING
    assert 0 < known.mean() < 0.5
    errors = find_errors(explained)
    assert "one" in errors
    assert "two" not in errors


def test_without_the_study_that_was_compared_nothing_is_explained(compared):
    now, earlier, context, result, _, _ = compared
    with pytest.raises(MissingInputs, match="no earlier one"):
        pipeline.explain(now, result, "consistency", QUIET)
    with pytest.raises(MissingInputs, match="no earlier study"):
        pipeline.explain_with(now, replace(context, priors=()), result, "consistency", QUIET)
    other = replace(earlier, frame_of_reference_uid="1.2.77")
    with pytest.raises(MissingInputs, match="no longer there"):
        explain_comparison(now, other, result, QUIET)


def test_a_way_back_without_a_field_is_not_held_against_one_with_it(compared, monkeypatch):
    now, earlier, _, result, _, _ = compared
    refine = explain.refine
    monkeypatch.setattr(explain, "find_motion", lambda *_: MOTION)
    monkeypatch.setattr(explain, "refine", lambda *args: replace(refine(*args), field=None))
    with pytest.raises(NotConverged, match="take each match for uncertain"):
        explain_comparison(now, earlier, result, QUIET)
    assert lay_back(now, earlier, bent=False).field is None


def test_what_itk_cannot_do_is_a_refusal_by_name(monkeypatch):
    def fail(*_):
        raise RuntimeError("itk::ERROR")

    monkeypatch.setattr(explain, "find_motion", fail)
    with pytest.raises(NotConverged, match="came to no end"):
        lay_back(None, None, bent=True)


def test_studies_that_share_nothing_have_no_map(compared, monkeypatch):
    now, earlier, _, result, _, _ = compared
    monkeypatch.setattr(explain, "find_motion", lambda *_: MOTION)
    away = Registration("prior", "1.2.99", "earlier", make_motion((0, 0, 0), (0, 0, 5000)))
    with pytest.raises(NoOverlap, match="nothing of the patient"):
        explain_comparison(now, earlier, replace(result, registrations=(away,)), QUIET)
