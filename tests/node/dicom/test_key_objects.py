"""Key objects name the images where findings are largest, and nothing where there is nothing to see."""

import io

import numpy as np
import pydicom
import pytest

from node.dicom.key_objects import choose_key_planes, encode_key_objects
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Box, Finding, Result
from tests.judges import dciodvfy_errors, dsrdump
from tests.results import (
    CORPUS,
    LUNG,
    NODULE,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def read(ds, folder):
    write_dicom(ds, folder / "ko.dcm")
    return folder / "ko.dcm", pydicom.dcmread(folder / "ko.dcm")


def images(ds):
    return [item.ReferencedSOPSequence[0] for item in ds.ContentSequence if item.ValueType == "IMAGE"]


def description(ds):
    (item,) = [i for i in ds.ContentSequence if i.ValueType == "TEXT" and i.RelationshipType == "CONTAINS"]
    return item.TextValue


def make_tower(areas):
    """A mask whose plane k has areas[k] pixels."""
    mask = np.zeros((len(areas), 10, 10), bool)
    for k, area in enumerate(areas):
        mask[k].ravel()[:area] = True
    return mask


def test_the_largest_plane_is_taken_and_the_next_ones_a_quarter_of_the_extent_away():
    assert choose_key_planes(make_tower([0, 1, 2, 9, 8, 7, 6, 5, 4, 0])) == [3, 5, 7]
    assert choose_key_planes(make_tower([0, 9, 0, 0])) == [1]
    assert choose_key_planes(make_tower([5, 6])) == [0, 1]
    assert choose_key_planes(make_tower([0, 0])) == []


def test_planes_between_two_parts_of_a_finding_are_not_taken():
    assert choose_key_planes(make_tower([9, 0, 0, 0, 0, 0, 0, 3])) == [0, 7]


@pytest.mark.judge
def test_dciodvfy_and_dcmtk_read_it_without_error(stack, tmp_path):
    path, _ = read(encode_key_objects(stack, make_result(stack.shape, 2), make_author()), tmp_path)
    assert dciodvfy_errors(path) == []
    assert "Of Interest" in dsrdump(path)


def test_every_image_is_a_source_and_its_planes_are_where_the_finding_is_largest(stack, tmp_path):
    result = make_result(stack.shape, 1)
    _, ds = read(encode_key_objects(stack, result, make_author()), tmp_path)
    places = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    found = []
    for image in images(ds):
        numbers = np.atleast_1d(image.get("ReferencedFrameNumber", 1))
        found += [places[str(image.ReferencedSOPInstanceUID), int(n)] for n in numbers]
    assert sorted(found) == choose_key_planes(result.segments[0].mask)
    areas = result.segments[0].mask.sum(axis=(1, 2))
    assert int(areas.argmax()) in found
    evidence = {
        reference.ReferencedSOPInstanceUID
        for series in ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert evidence == {image.ReferencedSOPInstanceUID for image in images(ds)}


def test_images_carry_no_purpose_which_the_template_forbids():
    stack = CORPUS["plain"]()
    ds = encode_key_objects(stack, make_result(stack.shape), make_author())
    assert all("ConceptNameCodeSequence" not in item for item in ds.ContentSequence if item.ValueType == "IMAGE")
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"


def test_the_text_names_findings_their_images_and_what_it_is_not_for():
    stack = CORPUS["plain"]()
    segment = make_segment(make_tower([0, 4, 0, 0, 0]).repeat(2, axis=2)[:, :10, :18], label="Nodule in S6")
    stack = make_stack(make_series((5, 10, 18)))
    ds = encode_key_objects(stack, Result((segment,), (make_finding(),)), make_author())
    assert "Nodule in S6: image 2." in description(ds)
    assert "not reviewed by a person" in description(ds)
    assert "Not for: primary diagnosis." in description(ds)


def test_two_findings_on_one_image_name_it_once():
    stack = CORPUS["plain"]()
    mask = np.zeros(stack.shape, bool)
    mask[2, 3:6, 3:6] = True
    result = Result((make_segment(mask, "a"), make_segment(mask, "b")), (make_finding("a"), make_finding("b")))
    ds = encode_key_objects(stack, result, make_author())
    assert [image.ReferencedSOPInstanceUID for image in images(ds)] == [stack.headers[2].SOPInstanceUID]
    assert "a: image 3. b: image 3." in description(ds)


def test_a_finding_with_a_box_alone_is_shown_in_the_middle_of_it():
    stack = CORPUS["plain"]()
    finding = Finding("n", NODULE, site=LUNG, box=Box((1.5, 2.5, 3.5), (4.5, 5.5, 6.5)))
    ds = encode_key_objects(stack, Result((), (finding,)), make_author())
    assert [image.ReferencedSOPInstanceUID for image in images(ds)] == [stack.headers[3].SOPInstanceUID]
    assert "Nodule, Lung: image 4." in description(ds)


def test_nothing_found_makes_no_key_object():
    stack = CORPUS["plain"]()
    assert encode_key_objects(stack, make_empty_result(), make_author()) is None


def test_an_absent_finding_and_one_without_a_place_make_no_key_object():
    stack = CORPUS["plain"]()
    empty = make_segment(np.zeros(stack.shape, bool), "a")
    findings = (Finding("a", NODULE, segment_key="a"), Finding("b", NODULE), Finding("c", NODULE, absent=True))
    assert encode_key_objects(stack, Result((empty,), findings), make_author()) is None


def test_a_place_outside_of_the_stack_is_refused():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="'nodule-1'"):
        encode_key_objects(stack, make_result((4, 16, 18)), make_author())
    finding = Finding("far", NODULE, box=Box((8.5, 2.5, 3.5), (9.5, 5.5, 6.5)))
    with pytest.raises(EncodingError, match="'far'"):
        encode_key_objects(stack, Result((), (finding,)), make_author())


def test_the_same_call_makes_the_same_bytes_for_the_same_patient():
    slices = make_series(SpecificCharacterSet="ISO_IR 192", PatientName="Пушкин^Александр", PatientID="P/7")
    made = []
    for _ in range(2):
        stack = make_stack(slices)
        ds = encode_key_objects(stack, make_result(stack.shape), make_author())
        buffer = io.BytesIO()
        ds.save_as(buffer)
        made.append(buffer.getvalue())
    assert made[0] == made[1]
    assert (str(ds.PatientName), ds.PatientID, ds.StudyInstanceUID) == ("Пушкин^Александр", "P/7", stack.study_uid)
    assert (ds.Modality, ds.SeriesNumber) == ("KO", 7005)
