"""The next version of an object goes on in its series, names what it replaces, and passes the gate and other judges."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydicom import dcmread

from node.dicom.capture import encode_capture
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.labelmap import encode_labelmap
from node.dicom.output_gate import check_objects
from node.dicom.parametric_map import encode_parametric_maps
from node.dicom.presentation import encode_presentation
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.structure_set import encode_structure_set
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Code, ScalarMap, Volume
from tests.judges import dciodvfy_errors
from tests.results import make_author, make_result, make_stack
from tests.series import make_series
from tests.succession import as_predecessors, make_successor

SERIES_LEVEL = ["SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription", "Modality"]
SR = "1.2.840.10008.5.1.4.1.1.88.34"


@cache
def stack():
    return make_stack(make_series((6, 16, 18)))


def encode(author):
    """Every kind of object that `author` makes of one result."""
    values = ScalarMap(
        "p", "Probability", np.full(stack().shape, 0.5, np.float32), Code("C0", "99TEST", "p"), Code("1", "UCUM", "1")
    )
    result = replace(make_result(stack().shape), maps=(values,))
    volume = Volume(np.zeros(stack().shape, np.float32), stack().affine, stack().frame_of_reference_uid, "CT")
    segmentation = encode_segmentation(stack(), result, author)
    return [
        segmentation,
        encode_report(stack(), result, author, segmentation),
        encode_labelmap(stack(), result, author),
        encode_structure_set(stack(), result, author),
        encode_capture(stack(), volume, result, author),
        encode_document(stack(), volume, result, author),
        encode_presentation(stack(), result, author, limits=(0, 99)),
        encode_key_objects(stack(), result, author),
        *encode_parametric_maps(stack(), result, author),
    ]


@cache
def versions():
    """(objects of version 1, those of version 2, author of version 2)."""
    first = make_author()
    objects = encode(first)
    second = make_successor(first, objects)
    return objects, encode(replace(second, created=second.created.replace(day=3))), second


def test_it_goes_on_in_the_series_of_the_first_version_under_the_next_number():
    old, new, _ = versions()
    for before, after in zip(old, new, strict=True):
        assert [before[k].value for k in SERIES_LEVEL] == [after[k].value for k in SERIES_LEVEL]
        assert (before.InstanceNumber, after.InstanceNumber) == (1, 2)
        assert before.SOPInstanceUID != after.SOPInstanceUID
        assert before.InstanceCreationDate < after.InstanceCreationDate


def test_a_report_names_the_report_that_it_replaces_in_its_study_and_series():
    old, new, _ = versions()
    (study,) = new[1].PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (old[1].StudyInstanceUID, old[1].SeriesInstanceUID)
    assert (named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID) == (SR, old[1].SOPInstanceUID)
    assert named.PurposeOfReferenceCodeSequence[0].CodeValue == "121360"


def test_segmentations_maps_captures_and_structure_sets_name_theirs_and_say_so():
    old, new, _ = versions()
    for n in (0, 2, 4, 8):
        assert [item.ReferencedSOPInstanceUID for item in new[n].ReferencedImageSequence] == [old[n].SOPInstanceUID]
    (item,) = new[3].PredecessorStructureSetSequence
    assert item.ReferencedSOPInstanceUID == old[3].SOPInstanceUID
    for n in (0, 2, 6):
        assert new[n].ContentDescription == "version 2, replaces version 1: lung-nodule 1.2.0"


@pytest.mark.parametrize("n", [0, 2, 8], ids=["segmentation", "label map", "parametric map"])
def test_the_common_instance_reference_lists_the_predecessor_under_its_series(n):
    old, new, _ = versions()
    sources, earlier = new[n].ReferencedSeriesSequence
    assert len(sources.ReferencedInstanceSequence) == len(stack().headers)
    assert earlier.SeriesInstanceUID == old[n].SeriesInstanceUID
    (named,) = earlier.ReferencedInstanceSequence
    assert (named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID) == (old[n].SOPClassUID, old[n].SOPInstanceUID)


def lists_no_earlier_version(ds):
    del ds.ReferencedSeriesSequence[1]


def lists_it_twice(ds):
    ds.ReferencedSeriesSequence.append(ds.ReferencedSeriesSequence[1])


def lists_it_under_another_series(ds):
    ds.ReferencedSeriesSequence[1].SeriesInstanceUID = "2.25.7"


def lists_it_under_another_class(ds):
    ds.ReferencedSeriesSequence[1].ReferencedInstanceSequence[0].ReferencedSOPClassUID = SR


def lists_it_and_does_not_name_it(ds):
    ds.ReferencedImageSequence = []


LISTS = [
    lists_no_earlier_version, lists_it_twice, lists_it_under_another_series, lists_it_under_another_class,
    lists_it_and_does_not_name_it,
]  # fmt: skip


@pytest.mark.parametrize("spoil", LISTS, ids=lambda spoil: spoil.__name__)
def test_the_gate_stops_a_segmentation_that(spoil):
    _, _, author = versions()
    ds = encode_segmentation(stack(), make_result(stack().shape), author)
    check_objects([ds], stack().headers, author.predecessors)
    spoil(ds)
    with pytest.raises(EncodingError, match=r"earlier version|of what it lists"):
        check_objects([ds], stack().headers, author.predecessors)


def test_the_gate_lets_it_out_with_its_predecessors_alone():
    _, new, author = versions()
    check_objects(new, stack().headers, author.predecessors)
    with pytest.raises(EncodingError, match="names"):
        check_objects(new, stack().headers)


@pytest.mark.judge
def test_dciodvfy_finds_no_error_in_a_second_version(tmp_path):
    _, new, author = versions()
    refusal = encode_refusal(stack().headers, author, "MissingSlices", "A plane is missing")
    for number, ds in enumerate([*new, refusal]):
        if ds.get("SegmentationType") != "LABELMAP":  # younger than the program
            write_dicom(ds, tmp_path / f"{number}.dcm")
            assert dciodvfy_errors(tmp_path / f"{number}.dcm") == [], ds.Modality


def test_what_is_written_is_read_back(tmp_path):
    old, new, _ = versions()
    write_dicom(new[0], tmp_path / "seg.dcm")
    assert dcmread(tmp_path / "seg.dcm").ReferencedImageSequence[0].ReferencedSOPInstanceUID == old[0].SOPInstanceUID


def test_a_third_version_goes_on_in_the_same_series():
    _, new, second = versions()
    third = make_successor(second, new, "job-3")
    ds = encode_segmentation(stack(), make_result(stack().shape), third)
    assert (ds.SeriesInstanceUID, ds.InstanceNumber) == (new[0].SeriesInstanceUID, 3)
    assert ds.ContentDescription.startswith("version 3, replaces version 2")


def test_another_algorithm_opens_its_own_series_and_names_what_it_replaces():
    old, _, _ = versions()
    newer = replace(make_author("job-2", version="2.0.0"), version=2)
    newer = replace(newer, predecessors=as_predecessors(old, make_author()))
    ds = encode_report(stack(), make_result(stack().shape), newer, None)
    assert ds.SeriesInstanceUID != old[1].SeriesInstanceUID
    assert ds.InstanceNumber == 1
    named = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == old[1].SOPInstanceUID
    check_objects([ds], stack().headers, newer.predecessors)


def test_images_in_another_frame_of_reference_open_a_series_of_their_own():
    old, _, author = versions()
    moved = make_stack(make_series((6, 16, 18), FrameOfReferenceUID="1.2.3.99"))
    ds = encode_segmentation(moved, make_result(moved.shape), author)
    assert ds.SeriesInstanceUID != old[0].SeriesInstanceUID
    assert ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID == old[0].SOPInstanceUID


def test_a_refusal_names_the_report_before_it_from_a_series_of_its_own():
    old, _, author = versions()
    ds = encode_refusal(stack().headers, author, "MissingSlices", "A plane is missing")
    assert ds.SeriesInstanceUID != old[1].SeriesInstanceUID
    named = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in named] == [old[1].SOPInstanceUID]
    check_objects([ds], stack().headers, author.predecessors)


def find_named(ds):
    """The reference of a report to its predecessor."""
    return ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def names_nothing(ds):
    del ds.PredecessorDocumentsSequence


def names_a_stranger(ds):
    find_named(ds).ReferencedSOPInstanceUID = "2.25.7"


def names_another_study(ds):
    ds.PredecessorDocumentsSequence[0].StudyInstanceUID = "2.25.7"


def names_another_series(ds):
    ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID = "2.25.7"


def names_another_class(ds):
    find_named(ds).ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"


def names_a_segmentation(ds):
    old, _, _ = versions()
    named = find_named(ds)
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = old[0].SOPClassUID, old[0].SOPInstanceUID


def has_the_number_of_the_first(ds):
    ds.InstanceNumber = 1


def has_the_uid_of_the_first(ds):
    old, _, _ = versions()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = old[1].SOPInstanceUID


FAULTS = [
    names_nothing, names_a_stranger, names_another_study, names_another_series, names_another_class,
    names_a_segmentation, has_the_number_of_the_first, has_the_uid_of_the_first,
]  # fmt: skip


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_the_gate_stops_a_second_version_that(spoil):
    _, _, author = versions()
    ds = encode_report(stack(), make_result(stack().shape), author, None)
    check_objects([ds], stack().headers, author.predecessors)
    spoil(ds)
    with pytest.raises(EncodingError):
        check_objects([ds], stack().headers, author.predecessors)


def test_the_gate_stops_a_segmentation_that_names_a_stranger_as_its_predecessor():
    _, _, author = versions()
    ds = encode_segmentation(stack(), make_result(stack().shape), author)
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.7"
    with pytest.raises(EncodingError, match="ReferencedSOPInstanceUID"):
        check_objects([ds], stack().headers, author.predecessors)
