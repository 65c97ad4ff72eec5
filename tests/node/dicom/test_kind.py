"""What a header says of its series, and what it does not say."""

import pytest
from pydicom import Dataset

from node.dicom.header import find_frames
from node.dicom.kernel import name_kernel
from node.dicom.kind import tell_kind
from node.dicom.regions import find_hints, find_regions
from pipelines.terms import Region, Role
from tests.series import make_series

HEAD, NECK, CHEST, ABDOMEN, PELVIS, SPINE, ARM, LEG = Region


def tell(modality="CT", **changes):
    (header,) = make_series((1, 4, 4), modality=modality, **changes)
    return tell_kind(find_frames(header)[0])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("STANDARD", "soft"), ("LUNG", "sharp"), ("BONEPLUS", "sharp"), ("B", "soft"), ("L", "sharp"), ("B31f", "soft"),
        ("B70f", "sharp"), ("Br40d", "soft"), ("Bl57f", "sharp"), ("I31s", "soft"), ("FC17", "soft"), ("FC51", "sharp"),
        ("FC30", "sharp"), ("FC77", None), ("DETAIL", None), ("", None), ("made up", None),
    ],
)  # fmt: skip
def test_kernels_are_smooth_or_sharp_by_their_vendors_names(name, kind):
    assert name_kernel(name) == kind


@pytest.mark.parametrize(
    ("changes", "weighting"),
    [
        ({"ScanningSequence": "SE", "EchoTime": 12, "RepetitionTime": 550}, "T1"),
        ({"ScanningSequence": "SE", "EchoTime": 100, "RepetitionTime": 4500}, "T2"),
        ({"ScanningSequence": "SE", "EchoTime": 15, "RepetitionTime": 2800}, "proton density"),
        ({"ScanningSequence": "SE", "EchoTime": 50, "RepetitionTime": 2800}, None),
        ({"ScanningSequence": "SE", "EchoTime": 40, "RepetitionTime": 1200}, None),
        ({"ScanningSequence": ["SE", "IR"], "EchoTime": 120, "RepetitionTime": 9000, "InversionTime": 2500}, "FLAIR"),
        ({"ScanningSequence": ["SE", "IR"], "EchoTime": 60, "RepetitionTime": 4000, "InversionTime": 160}, "STIR"),
        (
            {"ScanningSequence": ["GR", "IR"], "SequenceVariant": ["SP", "MP"], "EchoTime": 2.97,
             "RepetitionTime": 1900, "InversionTime": 1100},
            "T1",
        ),
        ({"ScanningSequence": "GR", "EchoTime": 25, "RepetitionTime": 700, "FlipAngle": 20}, "T2*"),
        ({"ScanningSequence": "GR", "EchoTime": 4, "RepetitionTime": 150, "FlipAngle": 70}, "T1"),
        ({"ScanningSequence": "GR", "EchoTime": 4, "RepetitionTime": 150, "FlipAngle": 3}, None),
        ({"ScanningSequence": ["EP", "SE"], "EchoTime": 90, "RepetitionTime": 5000, "DiffusionBValue": 1000},
         "diffusion"),
        ({"EchoTime": None}, None),
        ({"AcquisitionContrast": "STIR"}, "STIR"),
        ({"AcquisitionContrast": "T1", "ImageType": ["ORIGINAL", "PRIMARY", "FIELD_MAP"]}, None),
    ],
)  # fmt: skip
def test_the_weighting_of_mr_follows_from_its_times_or_stays_open(changes, weighting):
    assert tell("MR", **changes).weighting == weighting


@pytest.mark.parametrize(
    ("changes", "contrast"),
    [
        ({}, None),
        ({"ContrastBolusAgent": "IOMERON"}, True),
        ({"ContrastBolusAgent": "None"}, False),
        ({"StudyDescription": "CT CHEST WO IV CONT"}, False),
        ({"StudyDescription": "CT CHEST W/O CONTRAST"}, False),
        ({"ProtocolName": "2 Chest C-/Thorax"}, False),
        ({"ProtocolName": "Chest HCT 5mm  -C"}, False),
        ({"StudyDescription": "CT ABD AND PELVIS WITH IV CONT"}, True),
        ({"SeriesDescription": "t1 post gd"}, True),
        ({"StudyDescription": "CT ABDOMEN WO AND WITH CONTRAST"}, None),
        ({"StudyDescription": "CT ABDOMEN WITH ORAL CONTRAST"}, None),
        ({"SeriesDescription": "C-SPINE"}, None),
        ({"ContrastBolusAgent": "IOMERON", "StudyDescription": "CT WO"}, True),
    ],
)
def test_contrast_is_what_the_attribute_says_else_what_words_agree_on(changes, contrast):
    assert tell(**changes).contrast is contrast


def test_body_part_examined_names_regions_and_descriptions_hint_at_them():
    told = tell(BodyPartExamined="CHESTABDPELVIS", SeriesDescription="5 MM", ProtocolName="HEAD (FEET FIRST)")
    assert told.regions == {CHEST, ABDOMEN, PELVIS}
    assert told.hinted == {HEAD}
    assert tell(BodyPartExamined="routine 3").regions == frozenset()
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "69536005", "SCT", "Head"
    assert tell(AnatomicRegionSequence=[region]).regions == {HEAD}


def test_the_narrowest_description_counts():
    assert tell(SeriesDescription="CHEST COR", StudyDescription="CT ABDOMEN").hinted == {CHEST}
    assert find_hints("5.2 CHEST/ABD/PEL (HEAD FIRST)") == {CHEST, ABDOMEN, PELVIS}
    assert find_hints("PALM, ALARM, HANDLED? 3 MM") == {ARM}
    assert find_regions(["CSPINE"]) == {NECK, SPINE}
    assert find_regions(["LEG"]) == {LEG}


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL"], Role.ORIGINAL),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], Role.LOCALIZER),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], Role.DERIVED),
        (["ORIGINAL", "PRIMARY", "CT_SOM5 MPR"], Role.DERIVED),
        (["ORIGINAL", "PRIMARY", "M", "ND"], Role.ORIGINAL),
        (None, None),
    ],
)
def test_localizers_and_what_was_derived_are_told(image_type, role):
    assert tell(ImageType=image_type).role == role
