"""What a bundle's numbers become: the right name for each, and no word on what was not looked at."""

import json

import numpy as np
import pytest

from pipelines.bundles.card import read_card
from pipelines.bundles.concepts import SIDES, Concept, read_concepts
from pipelines.bundles.findings import make_result
from pipelines.errors import BundleCrashed, BundleDrift, NeedsConcepts, UnsuitableVolume
from pipelines.terms import Code
from tests.pipelines.bundles.made import CONFIGS, make_volume

VOLUME = make_volume(shape=(4, 5, 6))
LIVER, SPLEEN = Code("10200004", "SCT", "Liver"), Code("78961009", "SCT", "Spleen")
KIDNEY, TUMOR = Code("64033007", "SCT", "Kidney"), Code("108369006", "SCT", "Neoplasm")
YES, NO = Code("21594007", "SCT", "Malignant"), Code("30807003", "SCT", "Benign")


def make_card(channels, **pred):
    data = json.loads((CONFIGS / "tiny_ct_segmentation" / "configs" / "metadata.json").read_text())
    data["network_data_format"]["outputs"]["pred"] |= {"channel_def": channels, "num_channels": len(channels)} | pred
    return read_card(data)


def conclude(card, concepts, **arrays):
    return make_result(arrays, card, concepts, VOLUME, {})


def make_labels(*numbers):
    labels = np.zeros(VOLUME.shape, np.uint8)
    labels.reshape(-1)[: len(numbers)] = numbers
    return labels


CLASSES = {"spatial_shape": [1, 2]}
QUESTION = {"Tiny": Concept(TUMOR)}


def test_a_class_is_named_by_its_channel_and_not_by_its_place_in_the_file():
    card = make_card({"1": "malignant", "0": "benign"}, **CLASSES)
    concepts = QUESTION | {"malignant": Concept(YES), "benign": Concept(NO)}
    (finding,) = conclude(card, concepts, probabilities=np.array([0.9, 0.1])).findings
    assert finding.qualifiers == ((TUMOR, NO),)
    (finding,) = conclude(card, concepts, probabilities=np.array([0.2, 0.8])).findings
    assert finding.qualifiers == ((TUMOR, YES),)


@pytest.mark.parametrize("channels", [{"1": "benign", "2": "malignant"}, {"0": "benign", "2": "malignant"}, {}])
def test_classes_that_are_not_counted_from_0_are_refused(channels):
    with pytest.raises(BundleDrift, match="counted from 0 without a gap"):
        make_card(channels, **CLASSES)


def test_an_answer_that_the_site_ignores_is_not_given_by_name():
    card = make_card({"0": "benign", "1": "malignant"}, **CLASSES)
    with pytest.raises(UnsuitableVolume, match=r"'benign', which concepts\.toml says to ignore"):
        conclude(card, QUESTION | {"malignant": Concept(YES)}, probabilities=np.array([0.9, 0.1]))


@pytest.mark.parametrize(
    ("ignored", "words"), [(("Tiny",), "the question"), (("benign", "malignant"), "every output is ignored")]
)
def test_what_would_leave_a_result_without_a_word_is_refused_when_it_is_mapped(ignored, words, tmp_path):
    card = make_card({"0": "benign", "1": "malignant"}, **CLASSES)
    lines = [
        f'"{label}" = ' + ("{ ignore = true }" if label in ignored else '"1 SCT X"')
        for label in ("Tiny", "benign", "malignant")
    ]
    (tmp_path / "c.toml").write_text("\n".join(lines))
    with pytest.raises(NeedsConcepts, match=words):
        read_concepts(tmp_path / "c.toml", card)


BOXES = np.array([[[0, 0, 0], [1, 1, 1]], [[1, 1, 1], [2, 2, 2]], [[2, 2, 2], [3, 3, 3]]], np.float64)
DETECTION = {"type": "object", "spatial_shape": ["n", "n", "n"]}


def detect(concepts, classes, scores=(0.7, 0.9, 0.6), channels=None):
    card = make_card({"0": "tumor", "1": "cyst", "2": "clot"} if channels is None else channels, **DETECTION)
    arrays = {"boxes": BOXES, "scores": np.array(scores), "classes": np.array(classes, np.uint16)}
    return conclude(card, concepts, **arrays)


CYST, CLOT = Code("441457006", "SCT", "Cyst"), Code("75753009", "SCT", "Blood clot")
LESIONS = {
    "tumor": Concept(TUMOR, lesion=True),
    "cyst": Concept(CYST, SIDES["left"], lesion=True),
    "clot": Concept(CLOT, lesion=True),
}


def test_each_box_has_the_concept_of_its_class_and_the_class_without_a_box_is_absent():
    findings = detect(LESIONS, [0, 1, 0]).findings
    told = [(one.concept, one.laterality, one.absent) for one in findings]
    assert told == [
        (CYST, SIDES["left"], False),
        (TUMOR, None, False),
        (TUMOR, None, False),
        (CLOT, None, True),
    ]
    assert findings[0].box.low == (1.0, 1.0, 1.0)
    assert len({one.key for one in findings}) == 4


def test_boxes_of_a_class_that_is_ignored_are_left_out():
    rest = {label: one for label, one in LESIONS.items() if label != "cyst"}
    told = [(one.concept, one.absent) for one in detect(rest, [1, 1, 2], scores=(0.9, 0.9, 0.1)).findings]
    assert told == [(TUMOR, True), (CLOT, True)]


def test_a_box_of_a_class_without_a_name_is_refused():
    with pytest.raises(BundleDrift, match="class 3"):
        detect(LESIONS, [0, 3, 1])
    with pytest.raises(BundleDrift, match="class 1"):
        detect({"Tiny": Concept(TUMOR, lesion=True)}, [0, 1, 0], channels={})


def test_boxes_without_their_scores_or_of_another_number_are_none():
    card = make_card({"0": "tumor"}, **DETECTION)
    scores, classes = np.ones(3), np.zeros(2, np.uint16)
    with pytest.raises(BundleCrashed, match="no scores"):
        conclude(card, LESIONS, boxes=BOXES, classes=classes)
    with pytest.raises(BundleCrashed, match="no boxes"):
        conclude(card, LESIONS, boxes=BOXES, scores=scores, classes=classes)
    with pytest.raises(BundleCrashed, match="no boxes"):
        conclude(card, LESIONS, boxes=BOXES[:, ::-1], scores=scores, classes=np.zeros(3, np.uint16))


def test_what_is_absent_keeps_its_side():
    card = make_card({"0": "background", "1": "tumor_left"})
    concepts = {"tumor_left": Concept(TUMOR, SIDES["left"], KIDNEY, lesion=True)}
    (finding,) = conclude(card, concepts, labels=make_labels()).findings
    assert (finding.absent, finding.laterality, finding.site) == (True, SIDES["left"], KIDNEY)


ORGANS = {"0": "background", "1": "liver", "2": "spleen", "3": "tumor"}


def test_anatomy_that_is_not_in_the_images_is_never_absent():
    only = make_card({"0": "background", "1": "spleen"})
    with pytest.raises(UnsuitableVolume, match="Not seen in these images: spleen"):
        conclude(only, {"spleen": Concept(SPLEEN)}, labels=make_labels())
    card = make_card(ORGANS)
    concepts = {"liver": Concept(LIVER), "spleen": Concept(SPLEEN)}
    result = conclude(card, concepts, labels=make_labels(1))
    assert [(one.concept, one.absent) for one in result.findings] == [(LIVER, False)]
    assert [note.text for note in result.notes] == ["Not seen in these images: spleen."]


@pytest.mark.parametrize(("site", "absent"), [(LIVER, True), (SPLEEN, False), (None, True)])
def test_a_lesion_is_absent_where_its_place_was_looked_at(site, absent):
    concepts = {"liver": Concept(LIVER), "spleen": Concept(SPLEEN), "tumor": Concept(TUMOR, None, site, lesion=True)}
    result = conclude(make_card(ORGANS), concepts, labels=make_labels(1))
    assert [one.concept for one in result.findings if one.absent] == ([TUMOR] if absent else [])
    assert ("tumor" in result.notes[0].text) is not absent


def test_a_lesion_is_not_absent_where_no_organ_is_seen():
    concepts = {"liver": Concept(LIVER), "tumor": Concept(TUMOR, lesion=True)}
    with pytest.raises(UnsuitableVolume, match="liver, tumor"):
        conclude(make_card(ORGANS), concepts, labels=make_labels())


def test_no_answer_is_not_the_answer_that_all_is_absent():
    concepts = {"tumor": Concept(TUMOR, lesion=True)}
    for channels in (ORGANS, {"0": "tumor"}):
        with pytest.raises(BundleCrashed, match="its answer has no"):
            conclude(make_card(channels), concepts)
    with pytest.raises(BundleCrashed, match="its masks are"):
        conclude(make_card({"0": "tumor", "1": "liver"}), concepts, masks=np.zeros((1, *VOLUME.shape), np.bool_))


@pytest.mark.parametrize("channels", [{"0": "background"}, {}, {"0": "bg", "1": "a_b", "2": "A b"}, {"0": "?"}])
def test_a_segmentation_that_names_nothing_or_two_outputs_alike_is_refused(channels):
    with pytest.raises(BundleDrift, match="names nothing, or two outputs alike"):
        make_card(channels)
