"""What is said of a bundle's boxes comes into the report beside them; its process is not believed."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.bundles.boxes import Found, Reported, find_again, find_overlaps
from pipelines.bundles.card import read_card
from pipelines.bundles.concepts import SIDES, Concept
from pipelines.bundles.explained_boxes import explain_boxes, list_reported
from pipelines.bundles.findings import make_result
from pipelines.bundles.install import add_bundle
from pipelines.bundles.ways import MOST_DRAWN, MOVES
from pipelines.catalog import get_pipeline
from pipelines.errors import BundleCrashed
from pipelines.pipeline import ExplainingModel
from pipelines.terms import Code, Volume, use_shelf
from pipelines.terms.shelf import Allowance
from tests.pipelines.bundles.corner import Corner
from tests.pipelines.bundles.made import CONFIGS, make_bundle, make_volume
from tests.pipelines.bundles.scans import BRIGHT, QUIET, SHAPE, make_scan

BORROWS = pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")
TUMOR, CYST = Code("108369006", "SCT", "Neoplasm"), Code("441457006", "SCT", "Cyst")
CONCEPTS = {
    "tumor": Concept(TUMOR, lesion=True),
    "mass": Concept(TUMOR, lesion=True),
    "cyst": Concept(CYST, SIDES["left"], lesion=True),
}
VOLUME = make_volume((4, 5, 60))
NUMBER = len(MOVES)


def make_card(channels=("tumor", "mass", "cyst")):
    data = json.loads((CONFIGS / "tiny_ct_detection" / "configs" / "metadata.json").read_text())
    data["network_data_format"]["outputs"]["pred"]["channel_def"] = {str(n): one for n, one in enumerate(channels)}
    return read_card(data)


def make_found(scores, classes):
    """A result with boxes of a voxel, one beside the other."""
    boxes = np.array([[[1.0, 1, n], [2, 2, n + 1]] for n in range(len(scores))])
    arrays = {"boxes": boxes, "scores": np.array(scores), "classes": np.array(classes, np.uint16)}
    return make_result(arrays, make_card(), CONCEPTS, VOLUME, {})


def test_boxes_are_named_as_the_classes_that_are_called_the_same():
    result = make_found([0.9, 0.8, 0.7, 0.2], [2, 0, 1, 0])
    reported = list_reported(result, make_card(), CONCEPTS)
    assert reported.boxes[:, 0, 2].tolist() == [0.0, 1.0, 2.0]
    assert reported.same.tolist() == [[False, False, True], [True, True, False], [True, True, False]]
    alone = list_reported(make_found([0.9], [0]), make_card(()), {"Tiny detector": CONCEPTS["tumor"]})
    assert alone.same.tolist() == [[True]]


def test_overlaps_are_shares_of_what_two_boxes_fill_together():
    one = np.array([[[0.0, 0, 0], [2, 2, 2]], [[0, 0, 0], [1, 1, 1]]])
    other = np.array([[[1.0, 0, 0], [3, 2, 2]], [[2, 0, 0], [4, 2, 2]], [[0, 0, 0], [2, 2, 2]]])
    expected = [[4 / 12, 0, 1], [0, 0, 1 / 8]]
    np.testing.assert_allclose(find_overlaps(one, other), expected)


def test_a_box_that_was_found_counts_for_the_nearest_one_of_its_kind_alone():
    """Or one of two neighbors that is gone would be found again as the other."""
    boxes = np.array([[[0.0, 0, 0], [4, 4, 4]], [[0, 0, 2.5], [4, 4, 6.5]], [[0, 0, 0], [4, 4, 4]]])
    reported = Reported(boxes, np.array([[True, False], [True, False], [False, True]]))

    def look(corners, scores, classes):
        found = Found(np.zeros((len(scores), 6)), np.array(scores), np.array(classes, np.uint16))
        return find_again(reported, np.array(corners, np.float64).reshape(-1, 2, 3), found).tolist()

    near = [[0, 0, 2.4], [4, 4, 6.4]]
    assert find_overlaps(boxes[:1], np.array([near]))[0, 0] > 0.2
    assert look([near], [0.8], [0]) == [0.0, 0.8, 0.0]
    assert look([near, near], [0.3, 0.6], [0, 0]) == [0.0, 0.6, 0.0]
    assert look([near], [0.8], [1]) == [0.0, 0.0, 0.8]
    assert look([near], [0.8], [2]) == [0.0, 0.0, 0.0]
    assert look([[[0, 0, 5.7], [4, 4, 9.7]]], [0.8], [0]) == [0.0, 0.8, 0.0]
    assert look([[[0, 0, 5.9], [4, 4, 9.9]]], [0.8], [0]) == [0.0, 0.0, 0.0]
    assert look([], [], []) == [0.0, 0.0, 0.0]


def test_readings_are_two_numbers_beside_each_detection_and_a_sentence():
    result = make_found([0.9, 0.8, 0.7], [0, 0, 0])
    steady, lost = [0.9, 0.9, 0.88, 0.9, 0.92, 0.9], [0.8, 0.5, 0.49, 0.0, 0.6, 0.0]
    again = np.array([steady, lost, [np.nan] * NUMBER])
    explained = explain_boxes(result, "tta", {"again": again}, VOLUME)
    told = [one.measurements for one in explained.findings if not one.absent]
    for row, before, after in zip((steady, lost), result.findings, told, strict=False):
        certain, count, deviation = after
        assert (certain,) == before.measurements
        assert (count.concept.meaning, count.unit.value, count.derivation) == ("Readings that find it", "1", None)
        assert count.method.meaning == "Test-time augmentation"
        assert (deviation.concept, deviation.unit) == (certain.concept, certain.unit)
        assert (deviation.derivation.value, deviation.method.value) == ("386136009", "TTA")
        assert deviation.value == float(f"{100 * np.std(row):.2g}")
    assert [one[1].value for one in told[:2]] == [6.0, 3.0]
    assert told[2] == result.findings[2].measurements
    assert explained.findings[3:] == result.findings[3:]
    assert explained.maps == ()
    texts = " ".join(note.text for note in explained.notes[len(result.notes) :])
    assert "6 readings" in texts
    assert "not how right" in texts
    assert "Of 1 of the detections nothing is said" in texts


def test_where_nothing_can_be_said_no_number_is_explained():
    explained = explain_boxes(make_found([0.9], [0]), "tta", {"again": np.full((1, NUMBER), np.nan)}, VOLUME)
    assert "6 readings" not in " ".join(note.text for note in explained.notes)


def draw(result, drops, values=None):
    values = np.zeros(VOLUME.shape, np.float32) if values is None else values
    explained = explain_boxes(result, "occlusion", {"drops": np.array(drops), "map": values}, VOLUME)
    assert explained.findings == result.findings
    return explained, " ".join(note.text for note in explained.notes[len(result.notes) :])


def test_a_map_says_what_it_is_and_what_is_not_on_it():
    result = make_found([0.9 - 0.01 * n for n in range(8)], [0] * 8)
    values = np.zeros(VOLUME.shape, np.float32)
    values[1, 1, 1] = 1.0
    explained, text = draw(result, [0.5, 0.19, np.nan, 0.0, 0.2], values)
    (scalars,) = explained.maps
    assert (scalars.key, scalars.quantity.value, scalars.unit.value) == ("occlusion", "130404", "1")
    assert np.array_equal(scalars.values, values)
    assert "compares no two detections" in text
    assert f"3 of the detections were not looked at: only the {MOST_DRAWN} most certain" in text
    assert "1 of the detections were not looked at: they are too large" in text
    assert "Of 2 of the detections nothing is on the map" in text
    none, text = draw(make_found([0.9], [0]), [0.0])
    assert none.maps == ()
    assert "compares" not in text
    assert "not looked at" not in text


BAD = {
    "no scores": ("tta", {}),
    "another number of boxes": ("tta", {"again": np.zeros((1, NUMBER))}),
    "another number of readings": ("tta", {"again": np.zeros((2, NUMBER - 1))}),
    "of another kind": ("tta", {"again": np.zeros((2, NUMBER), np.float32)}),
    "above 1": ("tta", {"again": np.full((2, NUMBER), 1.01)}),
    "below 0": ("tta", {"again": np.full((2, NUMBER), -0.01)}),
    "infinite": ("tta", {"again": np.full((2, NUMBER), np.inf)}),
    "half unknown": ("tta", {"again": np.array([[0.5] * NUMBER, [np.nan] + [0.5] * (NUMBER - 1)])}),
    "no drops": ("occlusion", {"drops": None}),
    "too many drops": ("occlusion", {"drops": np.full(3, 0.5)}),
    "drops of another shape": ("occlusion", {"drops": np.full((2, 1), 0.5)}),
    "drops above 1": ("occlusion", {"drops": np.full(2, 1.01)}),
    "drops below 0": ("occlusion", {"drops": np.full(2, -0.01)}),
    "no map": ("occlusion", {"map": None}),
    "a map of another grid": ("occlusion", {"map": np.zeros((4, 60, 5), np.float32)}),
    "a map that is none": ("occlusion", {"map": np.full(VOLUME.shape, np.nan, np.float32)}),
    "a map above 1": ("occlusion", {"map": np.full(VOLUME.shape, 1.1, np.float32)}),
}
GOOD = {
    "tta": {"again": np.full((2, NUMBER), 0.5)},
    "occlusion": {"drops": np.full(2, 0.5), "map": np.zeros(VOLUME.shape, np.float32)},
}


@pytest.mark.parametrize(("way", "bad"), BAD.values(), ids=BAD.keys())
def test_what_is_no_explanation_of_these_boxes_is_a_named_error(way, bad):
    result = make_found([0.9, 0.8], [0, 0])
    assert explain_boxes(result, way, GOOD[way], VOLUME) is not result
    arrays = {name: value for name, value in ((GOOD[way] | bad) if bad else {}).items() if value is not None}
    with pytest.raises(BundleCrashed):
        explain_boxes(result, way, arrays, VOLUME)


@pytest.fixture
def model(shelf, tmp_path):
    """A detecting bundle in its own process, with a network that is written down in its scripts."""
    place = make_bundle(
        "tiny_ct_detection",
        tmp_path,
        weights="",
        edit=lambda c: c.update(network_def={"_target_": "scripts.corner.Corner"}),
    )
    (place / "scripts").mkdir()
    (place / "scripts" / "__init__.py").write_text("")
    shutil.copyfile(Path(__file__).parent / "corner.py", place / "scripts" / "corner.py")
    (place / "models").mkdir()
    torch.save(Corner().state_dict(), place / "models" / "model.pt")
    use_shelf(shelf, {"tiny": Allowance(code=True)})
    assert add_bundle(place, shelf, "tiny", trusted=True).explains == ("tta", "occlusion")
    loaded = get_pipeline("tiny").load("cpu")
    yield loaded
    loaded.close()


@BORROWS
def test_a_bundle_says_why_it_found_a_box_and_its_answer_stays(model):
    volume, told = make_scan(), []
    assert isinstance(model, ExplainingModel)
    result = model.run(volume, QUIET)
    (finding,) = result.findings
    drawn = model.explain(volume, result, "occlusion", lambda share, _: told.append(share))
    steady = model.explain(volume, result, "tta", QUIET)
    assert told == sorted(told)
    assert told[-1] == 1.0
    (scalars,) = drawn.maps
    assert scalars.values.shape == SHAPE
    assert scalars.values[BRIGHT].max() > 0.7
    assert drawn.findings == result.findings
    count, deviation = steady.findings[0].measurements[1:]
    assert count.value == NUMBER
    assert 0 < deviation.value < 5
    assert steady.findings[0].box == finding.box
    assert model.run(volume, QUIET).findings == result.findings
    empty = Volume(np.full(SHAPE, -1000.0, np.float32), volume.affine, "1.2.3", "CT")
    nothing = model.run(empty, QUIET)
    for way in ("tta", "occlusion"):
        explained = model.explain(empty, nothing, way, QUIET)
        assert (explained.findings, explained.maps) == (nothing.findings, ())
        assert "there is nothing to explain" in explained.notes[-1].text
