"""Images that show no patient, or not what the pipeline reads, are refused by name before the model sees them."""

import pytest
from pydicom import Dataset

from node.dicom.selection import choose_stack
from node.dicom.stacking import read_stacks
from node.errors import (
    AlreadyProcessed,
    MissingSlices,
    NoMatchingSeries,
    NotAcquired,
    QualityControl,
    WrongAge,
    WrongBodyPart,
    WrongView,
)
from pipelines.terms import Requires
from tests.series import make_series, write_series

CHEST = Requires(modality="CT", body_parts=("CHEST", "THORAX", "LUNG"))
ADULTS = Requires(modality="CT", min_age_years=18)
HANDS = Requires(modality="CT", views=("PA", "AP"))


def series(number=1, shape=(6, 8, 8), **changes):
    return make_series(shape, SeriesNumber=number, SeriesInstanceUID=f"1.2.3.100.{number}", **changes)


def choose(tmp_path, *several, requires=CHEST):
    slices = [ds for one in several for ds in one]
    return choose_stack(*read_stacks(write_series(slices, tmp_path / "study")), requires, "Wetread")


def equipment(manufacturer, purpose):
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose, "DCM", "made for a test"
    item.Manufacturer, item.PurposeOfReferenceCodeSequence = manufacturer, [code]
    return [item]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, NotAcquired, "a secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, NotAcquired, "a secondary capture"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, NotAcquired, "a localizer"),
        ({"BurnedInAnnotation": "YES"}, AlreadyProcessed, "annotations burned in"),
        ({"ContributingEquipmentSequence": equipment("Wetread", "109102")}, AlreadyProcessed, "made by Wetread itself"),
        ({"QualityControlImage": "YES"}, QualityControl, "a phantom"),
        ({"QualityControlSubject": "YES"}, QualityControl, "a phantom"),
        ({"BodyPartExamined": "PHANTOM_ACR"}, QualityControl, "a phantom"),
        ({"BodyPartExamined": "HEAD"}, WrongBodyPart, "its body part is HEAD, not CHEST or THORAX or LUNG"),
        ({"BodyPartExamined": "UPPER_ABDOMEN"}, WrongBodyPart, "its body part is ABDOMEN"),
    ],
)
def test_what_is_not_for_the_pipeline_is_refused_by_name(tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        choose(tmp_path, series(**changes))
    stack, notes = choose(tmp_path / "beside", series(**changes), series(2))
    assert int(stack.first.SeriesNumber) == 2
    assert said in notes[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "CHESTABDPELVIS"},
        {"BodyPartExamined": "TH CT CHEST WO C"},
        {"BodyPartExamined": "WHOLEBODY"},
        {"BodyPartExamined": "routine 3"},
        {"BodyPartExamined": ""},
        {"BurnedInAnnotation": "NO", "QualityControlImage": "NO"},
        {"ContributingEquipmentSequence": equipment("Another", "109102")},
        {"ContributingEquipmentSequence": equipment("Wetread", "109101")},
    ],
)
def test_what_says_nothing_against_it_is_read(tmp_path, changes):
    assert choose(tmp_path, series(**changes))[0].shape == (6, 8, 8)


def test_another_view_is_refused_and_an_unnamed_one_is_read(tmp_path):
    with pytest.raises(WrongView, match="another than PA or AP"):
        choose(tmp_path, series(ViewPosition="LL"), requires=HANDS)
    assert choose(tmp_path / "b", series(ViewPosition="PA"), requires=HANDS)
    assert choose(tmp_path / "c", series(), requires=HANDS)


@pytest.mark.parametrize(
    ("said", "is_read"),
    [
        ({"PatientAge": "017Y"}, False),
        ({"PatientAge": "018Y"}, True),
        ({"PatientAge": "100M"}, False),
        ({"PatientAge": "216M"}, True),
        ({"PatientAge": "900D"}, False),
        ({"PatientAge": "", "PatientBirthDate": "20060102", "StudyDate": "20240101"}, False),
        ({"PatientAge": "", "PatientBirthDate": "20060101", "StudyDate": "20240101"}, True),
        ({"PatientBirthDate": "20300101", "StudyDate": "20240101"}, True),
        ({"PatientBirthDate": "", "StudyDate": "20240101"}, True),
    ],
)
def test_a_child_is_refused_where_the_images_say_that_it_is_one(tmp_path, said, is_read):
    if is_read:
        assert choose(tmp_path, series(**said), requires=ADULTS)
    else:
        with pytest.raises(WrongAge, match="younger than 18 years"):
            choose(tmp_path, series(**said), requires=ADULTS)
    assert choose(tmp_path / "any", series(**said), requires=Requires(modality="CT"))


def test_a_broken_stack_that_would_not_be_read_either_way_says_both(tmp_path):
    lacking = series(shape=(9, 8, 8), BodyPartExamined="KNEE")
    del lacking[4]
    with pytest.raises(WrongBodyPart, match=r"1 of 9 planes missing.*its body part is KNEE"):
        choose(tmp_path, lacking)


def test_a_broken_stack_of_the_right_kind_keeps_its_own_name(tmp_path):
    lacking = series(shape=(9, 8, 8), BodyPartExamined="CHEST")
    del lacking[4]
    with pytest.raises(MissingSlices):
        choose(tmp_path, lacking, series(2, BodyPartExamined="KNEE"))


def test_two_series_that_are_refused_for_different_reasons_have_no_one_name(tmp_path):
    with pytest.raises(NoMatchingSeries, match=r"KNEE.*a phantom") as caught:
        choose(tmp_path, series(BodyPartExamined="KNEE"), series(2, QualityControlImage="YES"))
    assert type(caught.value) is NoMatchingSeries
