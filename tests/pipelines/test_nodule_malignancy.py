"""Nodules rated: those that were given, else those that are found; always beside what the diameter says."""

import numpy as np
import pytest
from safetensors.torch import load_file

from pipelines.errors import UnsuitableVolume, WeightsMismatch
from pipelines.nodule_malignancy.pipeline import HOME, make_model, pipeline
from pipelines.terms import Code, Context, Finding, Result, Segment, Volume
from tests.pipelines.lumps import make_lung, make_sides

pytestmark = pytest.mark.usefixtures("one_thread")

LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")
SMALL, LARGE = ((22, 40, 30), 2.5, 30.0), ((18, 44, 50), 10.0, 30.0)


class Nodules:
    """In place of lung-nodule: the balls of a volume, as it was told. Counts its runs."""

    def __init__(self, *segments):
        self.segments, self.runs = segments, 0

    def run(self, volume, progress):
        self.runs += 1
        return Result(self.segments, (Finding("nodule", NODULE, absent=not self.segments),))


def silent(share, activity):
    pass


def load(*segments):
    return make_model(load_file(HOME / "weights.safetensors"), Nodules(*segments))


def make_segment(volume, ball, key="nodule-1"):
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    away = np.linalg.norm((index - ball[0]) * volume.spacing, axis=-1)
    return Segment(key, key, LESION, NODULE, away <= ball[1])


def numbers(finding):
    return {measurement.concept.value: measurement.value for measurement in finding.measurements}


@pytest.fixture(scope="module")
def scene():
    volume, _ = make_lung([SMALL, LARGE])
    return volume, make_segment(volume, SMALL, "small"), make_segment(volume, LARGE, "large")


def test_given_nodules_are_rated_and_none_are_sought(scene):
    volume, small, large = scene
    model = load()
    result = model.run_with(volume, Context(before={"small": small, "large": large}, is_complete=True), silent)
    assert model._nodules.runs == 0
    assert [finding.segment_key for finding in result.findings] == ["small", "large"]
    assert result.segments == (small, large)


def test_where_none_are_given_those_that_are_found_are_rated(scene):
    volume, small, _ = scene
    model = load(small)
    result = model.run(volume, silent)
    assert model._nodules.runs == 1
    assert [finding.key for finding in result.findings] == ["small"]


def test_a_pipeline_that_handed_on_only_a_part_is_not_relied_on(scene):
    volume, small, large = scene
    result = load(large).run_with(volume, Context(before={"small": small}), silent)
    assert [finding.key for finding in result.findings] == ["large"]


def test_a_pipeline_that_outlines_no_lesion_has_given_none(scene):
    volume, small, _ = scene
    before = make_sides(make_lung()[1])
    result = load(small).run_with(volume, Context(before=before, is_complete=True), silent)
    assert [finding.key for finding in result.findings] == ["small"]


def test_a_pipeline_that_found_no_nodule_is_believed(scene):
    volume, small, _ = scene
    result = load(small).run_with(volume, Context(is_complete=True), silent)
    assert [finding.absent for finding in result.findings] == [True]


def test_the_diameter_and_what_it_says_alone_stand_beside_the_probability(scene):
    volume, small, large = scene
    one, other = (numbers(finding) for finding in load(small, large).run(volume, silent).findings)
    assert one["NOD-DIAM"] == pytest.approx(5.0, abs=0.6)
    assert other["NOD-DIAM"] == pytest.approx(20.0, abs=0.6)
    slope, constant = load_file(HOME / "weights.safetensors")["baseline"].double().tolist()
    for said in (one, other):
        expected = 1 / (1 + np.exp(-(slope * np.log(said["NOD-DIAM"]) + constant)))
        assert said["NOD-SUSPD"] == pytest.approx(expected, abs=0.02)
        assert 0 <= said["NOD-SUSP"] <= 1
    assert one["NOD-SUSPD"] < 0.3 < 0.7 < other["NOD-SUSPD"]
    assert one["NOD-SUSP"] < other["NOD-SUSP"]


def test_it_says_that_it_is_no_better_than_the_diameter_and_not_for_diagnosis(scene):
    volume, small, _ = scene
    text = " ".join(note.text for note in load(small).run(volume, silent).notes)
    assert "no better than the diameter of the radiologists' outline" in text
    assert "not for diagnosis" in text


def test_other_weights_change_the_probability_and_not_the_diameter_s(scene):
    volume, small, _ = scene
    weights = load_file(HOME / "weights.safetensors")
    name = next(key for key in weights if weights[key].ndim == 4)
    weights[name] = weights[name] * 0.3
    one, other = (
        numbers(model.run(volume, silent).findings[0]) for model in (load(small), make_model(weights, Nodules(small)))
    )
    assert one["NOD-SUSP"] != other["NOD-SUSP"]
    assert one["NOD-SUSPD"] == other["NOD-SUSPD"]


def test_nothing_found_is_said_and_proves_nothing(scene):
    result = load().run(scene[0], silent)
    assert [finding.absent for finding in result.findings] == [True]
    assert "does not say that there is none" in result.notes[0].text


def test_a_mass_is_not_rated_and_this_is_said(scene):
    volume, small, _ = scene
    mass = make_segment(volume, ((18, 34, 36), 22.0, 30.0), "mass")
    result = load(small, mass).run(volume, silent)
    assert [finding.key for finding in result.findings] == ["small"]
    assert any("1 of the nodules were not rated" in note.text for note in result.notes)


def test_an_mr_is_refused(scene):
    volume = scene[0]
    with pytest.raises(UnsuitableVolume, match="not from MR"):
        load().run(Volume(volume.voxels, volume.affine, "1.2.3", "MR"), silent)


def test_weights_without_a_calibration_are_refused():
    weights = load_file(HOME / "weights.safetensors")
    del weights["calibration"]
    with pytest.raises(WeightsMismatch, match="no calibration"):
        make_model(weights, Nodules())


def test_the_weights_are_the_pinned_ones():
    assert pipeline.load("cpu").network.training is False
