"""The nodule pipeline on balls in a block of lung, with the weights that are shipped."""

import numpy as np
import pytest
from safetensors.torch import load_file

from pipelines.errors import UnsuitableVolume
from pipelines.lung_nodule.candidates import find_candidates, make_field
from pipelines.lung_nodule.pipeline import HOME, LEAST_LOGIT, make_model, pipeline
from pipelines.terms import Context, Volume
from tests.pipelines.lumps import Lungs, make_lung, make_sides

pytestmark = pytest.mark.usefixtures("one_thread")

SOLID = ((22, 40, 30), 5.0, 30.0)
CLOUD = ((18, 46, 50), 6.0, -600.0)


def silent(share, activity):
    pass


def load(lungs, **choices):
    return make_model(load_file(HOME / "weights.safetensors"), Lungs(lungs), **choices)


def find_numbers(finding):
    return {measurement.concept.meaning: measurement.value for measurement in finding.measurements}


@pytest.fixture(scope="module")
def answer():
    volume, lungs = make_lung([SOLID, CLOUD])
    return volume, load(lungs, least_logit=-1e9).run(volume, silent)


def find_at(answer, index):
    """The finding whose segment holds `index`."""
    _, result = answer
    (segment,) = [one for one in result.segments if one.mask[index]]
    (finding,) = [one for one in result.findings if one.segment_key == segment.key]
    return segment, finding


def test_a_ball_is_found_where_it_lies_with_its_volume(answer):
    segment, finding = find_at(answer, SOLID[0])
    middle = np.argwhere(segment.mask).mean(axis=0)
    assert np.linalg.norm((middle - SOLID[0]) * answer[0].spacing) < 1.0
    assert find_numbers(finding)["Volume"] == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.15)
    assert -150 < find_numbers(finding)["Attenuation Coefficient"] < 30
    assert finding.laterality.meaning == "Right"


def test_a_dense_ball_is_solid_and_a_cloud_is_ground_glass(answer):
    types = [find_at(answer, ball[0])[1].qualifiers[0][1].value for ball in (SOLID, CLOUD)]
    assert types == ["RID50151", "RID50153"]


def test_it_says_that_it_is_a_demonstrator_and_not_for_diagnosis(answer):
    assert any("not for diagnosis" in note.text for note in answer[1].notes)


def test_the_likeliest_comes_first_and_all_confidences_are_probabilities(answer):
    values = [find_numbers(finding)["Confidence that this is a nodule"] for finding in answer[1].findings]
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


def test_empty_lungs_have_no_candidate_and_the_report_says_that_this_proves_nothing():
    volume, lungs = make_lung()
    result = load(lungs).run(volume, silent)
    assert [finding.absent for finding in result.findings] == [True]
    assert result.segments == ()
    assert result.notes[0].text.startswith("No nodule candidate found by this demonstrator")


def test_a_nodule_at_the_pleura_that_the_lung_mask_leaves_out_is_a_candidate():
    ball = ((18, 13, 36), 9.0, 30.0)
    volume, lungs = make_lung([ball])
    lungs &= volume.voxels < -400
    found = [candidate.grown.center for candidate in find_candidates(volume, lungs)]
    assert min(np.linalg.norm((np.array(at) - ball[0]) * volume.spacing) for at in found) < 5.0


def test_the_field_ends_with_the_lungs_and_what_has_grown_into_the_wall_is_no_candidate():
    volume, lungs = make_lung([((18, 4, 36), 11.0, 30.0)])
    field = make_field(volume, lungs)
    assert np.count_nonzero(field.inside) * 1.25**3 == pytest.approx(lungs.sum() * 1000 * volume.voxel_ml, rel=0.1)
    for candidate in find_candidates(volume, lungs):
        index = np.argwhere(candidate.grown.mask) + [side.start for side in candidate.grown.box]
        assert np.mean(lungs[tuple(index.T)]) > 0.5


def test_the_shipped_weights_call_a_ball_a_nodule_and_a_rod_none():
    volume, lungs = make_lung([SOLID])
    rod, _ = make_lung([((k, 20 + k, 30), 1.7, 0.0) for k in range(4, 32)])
    logits = []
    for one in (volume, rod):
        candidates = find_candidates(one, lungs)
        assert candidates
        logits.append(max(load(lungs).judge(candidates)))
    assert logits[0] > LEAST_LOGIT > logits[1]


def test_the_same_volume_gets_the_same_numbers(answer):
    volume, result = answer
    again = load(make_lung()[1], least_logit=-1e9).run(volume, silent)
    assert again.findings == result.findings


def test_other_weights_give_another_confidence(answer):
    volume, result = answer
    weights = load_file(HOME / "weights.safetensors")
    name = next(key for key in weights if weights[key].ndim == 4)
    weights[name] = weights[name] * 0.5
    other = make_model(weights, Lungs(make_lung()[1]), least_logit=-1e9).run(volume, silent)
    assert find_numbers(other.findings[0]) != find_numbers(result.findings[0])


def test_planes_in_the_other_order_give_the_same_nodules(answer):
    volume, _ = answer
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = Volume(np.ascontiguousarray(volume.voxels[::-1]), affine, "1.2.3", "CT")
    found = load(make_lung()[1][::-1], least_logit=-1e9).run(turned, silent)
    (mask,) = [one.mask for one in found.segments if one.mask[::-1][SOLID[0]]]
    assert np.array_equal(mask[::-1], find_at(answer, SOLID[0])[0].mask)


def test_lungs_that_were_found_before_are_not_sought_again():
    volume, lungs = make_lung([SOLID])
    model = load(lungs)
    sought = model._lungs
    result = model.run_with(volume, Context(before=make_sides(lungs), is_complete=True), silent)
    assert sought.runs == 0
    assert result.is_positive
    model.run(volume, silent)
    assert sought.runs == 1


def test_more_than_it_reports_are_counted():
    volume, lungs = make_lung([SOLID, CLOUD])
    result = load(lungs, least_logit=-1e9, most=1).run(volume, silent)
    assert len(result.findings) == 1
    assert any("more candidates were left out: only 1 are reported" in note.text for note in result.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: Volume(v.voxels, v.affine, "1.2.3", "MR"), "not from MR"),
        (lambda v: Volume(np.full_like(v.voxels, -1000), v.affine, "1.2.3", "CT"), "there is no image"),
        (lambda v: Volume(np.where(v.voxels > 0, np.nan, v.voxels), v.affine, "1.2.3", "CT"), "not finite"),
    ],
)
def test_what_is_no_chest_ct_is_refused(change, said):
    volume, lungs = make_lung()
    with pytest.raises(UnsuitableVolume, match=said):
        load(lungs).run(change(volume), silent)


def test_a_corner_of_a_lung_is_refused():
    volume, lungs = make_lung([SOLID])
    lungs[:, 20:] = False
    with pytest.raises(UnsuitableVolume, match="mL of lung are in view"):
        load(lungs).run(volume, silent)


def test_the_weights_are_the_pinned_ones():
    assert pipeline.load("cpu").network.training is False
