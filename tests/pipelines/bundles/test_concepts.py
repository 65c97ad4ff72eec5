"""Labels and their concepts."""

import json

import pytest
from pydicom.sr._concepts_dict import concepts as standard

from pipelines.bundles.card import read_card
from pipelines.bundles.concepts import propose, read_concepts, write_concepts
from pipelines.errors import NeedsConcepts
from tests.pipelines.bundles.made import CONFIGS


def read(name):
    return read_card(json.loads((CONFIGS / name / "configs" / "metadata.json").read_text()))


def agree(name, tmp_path):
    card = read(name)
    write_concepts(propose(card), tmp_path / "concepts.toml")
    return card, *read_concepts(tmp_path / "concepts.toml", card)


def test_all_104_structures_of_the_whole_body_have_a_concept_and_a_side(tmp_path):
    card, concepts, lacking = agree("wholeBody_ct_segmentation", tmp_path)
    assert len(card.outputs) == len(concepts) == 104
    assert lacking == ()
    for label, concept in concepts.items():
        sided = "left" in label or "right" in label
        within = any(side in concept.kind.meaning for side in ("Left", "Right", "right lung", "left"))
        assert (concept.laterality is not None) == (sided and not within), label
    codes = {(concept.kind.value, concept.laterality) for concept in concepts.values()}
    assert len(codes) == 104


def test_codes_that_the_standard_lists_have_its_meaning(tmp_path):
    names = {}
    for entries in standard["SCT"].values():
        for value, (meaning, *_) in entries.items():
            names.setdefault(value, set()).add(meaning.lower())
    known = 0
    for name in ("wholeBody_ct_segmentation", "ventricular_short_axis_3label", "breast_density_classification"):
        for concept in agree(name, tmp_path)[1].values():
            if concept.kind.value in names:
                known += 1
                words = concept.kind.meaning.lower()
                assert any(words in meaning or meaning in words for meaning in names[concept.kind.value]), concept
    assert known > 60


def test_a_label_that_the_table_does_not_know_is_asked_for(tmp_path):
    assert agree("prostate_mri_anatomy", tmp_path)[2] == ("central gland",)


def test_an_ignored_label_is_neither_lacking_nor_given(tmp_path):
    card = read("prostate_mri_anatomy")
    write_concepts(propose(card) | {"central gland": {"ignore": True}}, tmp_path / "c.toml")
    concepts, lacking = read_concepts(tmp_path / "c.toml", card)
    assert list(concepts) == ["peripheral zone"]
    assert lacking == ()


@pytest.mark.parametrize(
    "entry", ["nonsense", {"code": "1 SCT X", "laterality": "up"}, {"code": "1 SCT X", "colour": "red"}]
)
def test_an_entry_that_is_no_concept_is_named(entry, tmp_path):
    card = read("spleen_ct_segmentation")
    write_concepts({"spleen": entry}, tmp_path / "c.toml")
    with pytest.raises(NeedsConcepts, match="'spleen'"):
        read_concepts(tmp_path / "c.toml", card)
