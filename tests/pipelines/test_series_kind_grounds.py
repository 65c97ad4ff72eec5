"""Each answer about a series names the attribute or the measure that led to it, each open question what was missing or
contradictory; never a word that people typed."""

import numpy as np
import pytest

from node.dicom.header import find_frames
from node.dicom.kind import tell_kind
from pipelines.catalog import get_pipeline
from pipelines.terms import Context, Region, Severity, Told, Volume
from tests.pipelines.chest import make_affine, make_chest
from tests.pipelines.registration.test_rigid import store_sideways
from tests.series import make_series

HEAD, NECK, CHEST, ABDOMEN, PELVIS, SPINE, ARM, LEG = Region
EMPTY = {"ImageType": None, "StudyDescription": "", "SeriesDescription": "", "BodyPartExamined": ""}


@pytest.fixture(scope="module")
def chest():
    return make_chest((10.0, 6.0, 6.0))[0]


@pytest.fixture(scope="module")
def abdomen():
    """A trunk without air: the pixels are not sure of it."""
    return make_chest((10.0, 6.0, 6.0), lungs=False)[0]


def make_mr():
    return Volume(np.ones((4, 5, 6), np.float32), make_affine(), "1.2.3", "MR")


def explain(volume, **changes):
    """(question -> its sentence, every note), of a series with the header attributes `changes`."""
    (header,) = make_series((1, 4, 4), modality=volume.modality, **(EMPTY | changes))
    return ask(volume, Context(told=tell_kind(find_frames(header)[0])))


def ask(volume, context):
    model = get_pipeline("series-kind").load("cpu")
    result = model.run_with(volume, context, lambda *_: None)
    explained = model.explain_with(volume, context, result, "grounds", lambda *_: None)
    assert explained.findings == result.findings
    assert explained.maps == ()
    assert explained.notes[: len(result.notes)] == result.notes
    added = explained.notes[len(result.notes) :]
    assert {note.severity for note in added} == {Severity.INFO}
    told = {question: said for question, _, said in (note.text.partition(": ") for note in added)}
    assert len(told) == len(added)
    return told, [note.text for note in explained.notes]


def test_each_question_that_is_asked_has_one_sentence_and_no_other(chest):
    told, _ = explain(chest)
    assert list(told) == [
        "Modality", "Target Region", "Acquisition Plane", "Contrast administered", "Reconstruction kernel",
        "How the images came to be",
    ]  # fmt: skip
    assert "Weighting" in explain(make_mr())[0]
    xray = Volume(np.ones((4, 5, 6), np.float32), make_affine(), "1.2.3", "DX")
    assert list(explain(xray)[0]) == ["Modality", "Target Region", "Acquisition Plane"]
    assert "Contrast administered" in explain(xray, ContrastBolusAgent="GADOVIST")[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ContrastBolusAgent": "IOMERON"}, "Yes. Ground: ContrastBolusAgent."),
        ({"ContrastBolusAgent": "NONE"}, "No. Ground: ContrastBolusAgent."),
        ({"StudyDescription": "CT CHEST WO"}, "No. Ground: StudyDescription."),
        ({"StudyDescription": "CT WITH IV", "ProtocolName": "+C"}, "Yes. Ground: ProtocolName and StudyDescription."),
        (
            {"StudyDescription": "CT WITH IV", "SeriesDescription": "NATIVE"},
            "left open. Ground: SeriesDescription and StudyDescription; some words speak for it and some against it.",
        ),
        ({}, "left open. Ground: ContrastBolusAgent and ContrastBolusAgentSequence hold nothing, and no word of"),
    ],
)
def test_contrast_is_traced_to_the_agent_or_to_the_descriptions_whose_words_tell(chest, changes, said):
    assert explain(chest, **changes)[0]["Contrast administered"].startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ConvolutionKernel": "LUNG"}, "Sharp. Ground: ConvolutionKernel."),
        ({"ConvolutionKernel": "made up"}, "left open. Ground: ConvolutionKernel; its name is in no rule."),
        ({}, "left open. Ground: ConvolutionKernel holds nothing."),
    ],
)
def test_a_kernel_is_known_unknown_or_absent(chest, changes, said):
    assert explain(chest, **changes)[0]["Reconstruction kernel"] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AcquisitionContrast": "STIR"}, "Short inversion time inversion recovery. Ground: AcquisitionContrast."),
        ({"DiffusionBValue": 1000.0}, "Diffusion weighted. Ground: DiffusionBValue."),
        (
            {"ScanningSequence": "SE", "EchoTime": 12, "RepetitionTime": 550},
            "T1 Weighted MR Signal Intensity. Ground: ScanningSequence, SequenceVariant, EchoTime and RepetitionTime.",
        ),
        (
            {"ScanningSequence": "SE", "EchoTime": 40, "RepetitionTime": 1200},
            "left open. Ground: ScanningSequence, SequenceVariant, EchoTime and RepetitionTime; times lie",
        ),
        (
            {"ScanningSequence": "GR", "EchoTime": 25, "RepetitionTime": 700, "FlipAngle": 20},
            "T2* Weighted MR Signal Intensity. Ground: ScanningSequence, SequenceVariant, EchoTime, RepetitionTime and"
            " FlipAngle.",
        ),
        (
            {"ScanningSequence": ["SE", "IR"], "EchoTime": 60, "RepetitionTime": 4000, "InversionTime": 160},
            "Short inversion time inversion recovery. Ground: ScanningSequence, SequenceVariant, EchoTime,"
            " RepetitionTime and InversionTime.",
        ),
        (
            {"EchoTime": None, "RepetitionTime": None, "ScanningSequence": None, "SequenceVariant": None},
            "left open. Ground: AcquisitionContrast and the times and kind of the sequence hold nothing.",
        ),
    ],
)  # fmt: skip
def test_a_weighting_is_traced_to_the_attribute_that_says_it_or_to_the_times(changes, said):
    assert explain(make_mr(), **changes)[0]["Weighting"].startswith(said)


def test_how_images_came_to_be_is_traced_to_the_image_type(chest):
    question = "How the images came to be"
    assert explain(chest, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])[0][question] == "Original. Ground: ImageType."
    assert explain(chest)[0][question] == "left open. Ground: FrameType and ImageType hold nothing."
    odd = explain(chest, ImageType=["OTHER", "PRIMARY"])[0][question]
    assert odd == "left open. Ground: ImageType; it says neither original nor derived."


def test_a_region_is_traced_to_the_measure_of_the_pixels_where_they_are_sure(chest):
    said = explain(chest, BodyPartExamined="ABDOMEN")[0]["Target Region"]
    assert said.startswith("Chest. Ground: the pixels, which are sure: lung takes 12 % or more of the trunk on ")
    counted = [int(word) for word in said.split() if word.isdigit()][1:]
    assert counted[0] > 0.5 * counted[1]
    assert counted[1] == chest.shape[0]
    assert explain(store_sideways(chest), BodyPartExamined="ABDOMEN")[0]["Target Region"] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"BodyPartExamined": "ABDOMEN"}, "Abdomen. Ground: BodyPartExamined, and the pixels agree: the trunk holds"),
        ({"BodyPartExamined": "CHEST"}, "Chest. Ground: BodyPartExamined."),
        ({"SeriesDescription": "ABD 5MM"},
         "Abdomen. Ground: a word of SeriesDescription that the pixels bear out: the trunk"),
        ({"ProtocolName": "BRAIN"},
         "left open. Ground: BodyPartExamined and AnatomicRegionSequence hold nothing, a word of ProtocolName names one"
         " that the pixels do not bear out, and pixels alone are not sure: the trunk"),
        ({"BodyPartExamined": "ROUTINE"},
         "left open. Ground: BodyPartExamined names no region that is known, no word of SeriesDescription, ProtocolName"
         " or StudyDescription names one, and pixels alone"),
        ({"BodyPartExamined": "HEADPELVIS"}, "left open. Ground: BodyPartExamined; but head and pelvis together have"),
    ],
)  # fmt: skip
def test_where_pixels_are_not_sure_the_region_is_traced_to_what_they_bear_out(abdomen, changes, said):
    assert explain(abdomen, **changes)[0]["Target Region"].startswith(said)


def test_a_contradiction_names_both_sides(chest):
    said = explain(chest, BodyPartExamined="KNEE")[0]["Target Region"]
    assert said.startswith("left open. Ground: BodyPartExamined contradicts the pixels, which are sure: lung takes")


def test_in_mr_a_word_alone_decides_and_that_is_said():
    said = explain(make_mr(), StudyDescription="MR BRAIN")[0]["Target Region"]
    assert said == "Head. Ground: a word of StudyDescription alone, since pixels of this modality are not looked at."
    assert "pixels" not in explain(make_mr())[0]["Target Region"]


def test_a_plane_is_traced_to_the_angle_of_its_normal(chest):
    axes = np.eye(4)
    tilt = np.radians(15)
    axes[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    told = explain(Volume(chest.voxels, axes @ chest.affine, "1.2.3", "CT"))[0]["Acquisition Plane"]
    assert told.startswith(
        "Axial. Ground: ImageOrientationPatient, by which the normal of the planes is 15 degrees off"
    )
    tilt = np.radians(30)
    axes[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    told = explain(Volume(chest.voxels, axes @ chest.affine, "1.2.3", "CT"))[0]["Acquisition Plane"]
    assert told.startswith(
        "left open. Ground: ImageOrientationPatient, by which the normal of the planes is 30 degrees"
    )


def test_without_a_header_the_sentences_say_so(chest):
    told, _ = ask(chest, Context())
    assert told["Contrast administered"] == "left open. Ground: there is no header."
    assert told["Target Region"].startswith("Chest. Ground: the pixels")
    assert ask(chest, Context(told=Told("CT", contrast=True)))[0]["Contrast administered"] == "Yes. Ground: the header."


def test_no_sentence_quotes_what_people_typed(chest, abdomen):
    typed = {
        "BodyPartExamined": "ZZBODY", "SeriesDescription": "ZZSERIES CHEST WITH", "StudyDescription": "ZZSTUDY NATIVE",
        "ProtocolName": "ZZPROTOCOL", "ContrastBolusAgent": "ZZAGENT", "ConvolutionKernel": "ZZKERNEL",
        "PatientComments": "ZZCOMMENT", "ImageType": ["ZZTYPE", "PRIMARY"], "SequenceName": "ZZNAME",
    }  # fmt: skip
    for volume in (chest, abdomen, make_mr()):
        for left in ("", "ContrastBolusAgent"):
            _, notes = explain(volume, **{name: value for name, value in typed.items() if name != left})
            assert notes
            assert not [text for text in notes for word in ("ZZ", "Test^Pat", "P-1", "19700101") if word in text]
