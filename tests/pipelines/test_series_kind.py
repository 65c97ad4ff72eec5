"""What a series is, from what its header says and its pixels show; and what is left open."""

import numpy as np
import pytest

from pipelines.catalog import get_pipeline
from pipelines.series_kind.concepts import name_regions
from pipelines.series_kind.region import decide_region
from pipelines.terms import Context, Kernel, Region, Role, Sighting, Told, Volume, Weighting
from tests.pipelines.chest import make_chest

HEAD, NECK, CHEST, ABDOMEN, PELVIS, SPINE, ARM, LEG = Region


def some(*regions):
    return frozenset(regions)


@pytest.mark.parametrize(
    ("told", "seen", "decided"),
    [
        (Told("CT"), Sighting(some(CHEST), some(CHEST)), some(CHEST)),
        (Told("CT", some(CHEST)), Sighting(some(CHEST), some(CHEST)), some(CHEST)),
        (Told("CT", some(ABDOMEN)), Sighting(some(CHEST), some(CHEST)), some(CHEST)),
        (Told("CT", some(CHEST, ABDOMEN)), Sighting(some(CHEST)), some(CHEST)),
        (Told("CT", some(CHEST)), Sighting(some(ABDOMEN)), some(CHEST)),
        (Told("CT", hinted=some(CHEST, PELVIS)), Sighting(some(CHEST)), some(CHEST)),
        (Told("CT", hinted=some(HEAD)), Sighting(), some()),
        (Told("CT", hinted=some(HEAD)), Sighting(some(ABDOMEN)), some()),
        (Told("CT"), Sighting(some(ABDOMEN)), some()),
        (Told("MR", hinted=some(HEAD)), Sighting(), some(HEAD)),
        (Told("MR"), Sighting(), some()),
    ],
)
def test_sure_pixels_then_the_header_then_words_that_pixels_bear_out(told, seen, decided):
    found = decide_region(told, seen)
    assert (found.regions, found.note) == (decided, None)


def test_a_contradiction_is_left_open_and_said():
    decided = decide_region(Told("CT", some(LEG)), Sighting(some(CHEST), some(CHEST)))
    assert decided.regions == frozenset()
    assert "header names leg, the pixels show chest" in decided.note.text


def answers(volume, **told):
    context = Context(told=Told(volume.modality, **told)) if told else Context()
    result = get_pipeline("series-kind").load("cpu").run_with(volume, context, lambda *_: None)
    (finding,) = result.findings
    return {question.meaning: value.meaning for question, value in finding.qualifiers}, [n.text for n in result.notes]


def test_a_ct_is_answered_with_codes_as_far_as_it_is_known():
    given, notes = answers(make_chest()[0], contrast=False, kernel=Kernel.SHARP, role=Role.ORIGINAL)
    assert given == {
        "Modality": "Computed Tomography",
        "Target Region": "Chest",
        "Acquisition Plane": "Axial",
        "Contrast administered": "No",
        "Reconstruction kernel": "Sharp",
        "How the images came to be": "Original",
    }
    assert notes == []


def test_voxels_alone_leave_open_what_only_headers_say():
    given, notes = answers(make_chest()[0])
    assert list(given) == ["Modality", "Target Region", "Acquisition Plane"]
    assert notes[0].endswith("Contrast administered, Reconstruction kernel, How the images came to be.")


def test_an_mr_has_a_weighting_and_an_oblique_one_no_plane():
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(np.array([[1, 1, 0.2], [1, -1, 0.1], [0, 0.2, 1.0]]))[0]
    given, _ = answers(Volume(np.ones((4, 5, 6), np.float32), affine, "1.2.3", "MR"), weighting=Weighting.FLAIR)
    assert given == {"Modality": "Magnetic Resonance", "Weighting": "Fluid attenuated inversion recovery"}


def test_regions_have_a_concept_or_none():
    assert name_regions(some(CHEST, ABDOMEN, PELVIS)).value == "416775004"
    assert name_regions(some(NECK, SPINE)).meaning == "Spine"
    assert name_regions(frozenset(Region)).meaning == "Entire body"
    assert name_regions(some()) is None
    assert name_regions(some(HEAD, PELVIS)) is None
