"""Presentation state, key objects, capture and document of one result live side by side, beside its images."""

import numpy as np
import pydicom
import pytest

from node.dicom.capture import encode_capture
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.output_gate import check_objects
from node.dicom.presentation import encode_presentation
from node.dicom.sheet import choose_window
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from pipelines.terms import Result, Volume
from tests.judges import dciodvfy_errors
from tests.node.dicom.test_outline import fill
from tests.results import CORPUS, make_author, make_finding, make_result, make_segment, make_stack
from tests.series import make_series


def encode_all(stack, volume, result, author):
    return [
        encode_presentation(stack, result, author, limits=choose_window(volume, ())),
        encode_key_objects(stack, result, author),
        encode_capture(stack, volume, result, author),
        encode_document(stack, volume, result, author),
    ]


def make_volume(stack):
    return Volume(np.zeros(stack.shape, np.float32), stack.affine, stack.frame_of_reference_uid, stack.modality)


@pytest.mark.parametrize("name", ["plain", "enhanced, some frames, reversed"])
def test_the_gate_lets_them_out_together(name):
    stack = CORPUS[name]()
    objects = encode_all(stack, make_volume(stack), make_result(stack.shape, 2), make_author())
    check_objects(objects, stack.headers)
    assert sorted(ds.SeriesNumber for ds in objects) == [7004, 7005, 7006, 7009]
    assert len({ds.SeriesInstanceUID for ds in objects}) == 4
    assert all(ds.SeriesDescription == "AI, not reviewed: Lung nodules" for ds in objects)


def test_the_gate_lets_them_out_whatever_the_images_say_of_themselves():
    request = pydicom.Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "R-1", "S-1"
    said = {
        "BodyPartExamined": "CHEST", "PatientAge": "060Y", "PatientSize": "1.7", "ProtocolName": "Thorax",
        "Laterality": "R", "PatientPosition": "HFS", "ImageComments": "good", "OperatorsName": "One^Some",
        "RequestAttributesSequence": [request], "ContrastBolusAgent": "Iodine", "ConvolutionKernel": "B70f",
    }  # fmt: skip
    stack = make_stack(make_series(**said))
    objects = encode_all(stack, make_volume(stack), make_result(stack.shape, 2), make_author())
    check_objects(objects, stack.headers)
    assert [str(ds.get("BodyPartExamined", "")) for ds in objects] == ["CHEST", "", "CHEST", ""]
    assert all(ds.RequestAttributesSequence[0].RequestedProcedureID == "R-1" for ds in (objects[0], *objects[2:]))


def test_their_uids_follow_the_job_and_the_algorithm():
    stack = make_stack(make_series())
    volume, result = make_volume(stack), make_result(stack.shape)
    uids = [
        [ds.SOPInstanceUID for ds in encode_all(stack, volume, result, author)]
        for author in (make_author(), make_author(), make_author("job-2"), make_author(version="2"))
    ]
    assert uids[0] == uids[1]
    assert len({uid for made in uids for uid in made}) == 12


@pytest.mark.judge
def test_of_a_real_head_all_are_valid_and_outlines_hold_what_was_found(real_data, tmp_path):
    stacks, _ = read_stacks(sorted((real_data / "mr_brain_VS-SEG-001").rglob("*.dcm")))
    stack = max(stacks, key=lambda one: one.shape[0])
    volume = load_volume(stack)
    mask = np.zeros(stack.shape, bool)
    mask[40] = volume.voxels[40] > np.percentile(volume.voxels[40], 90)
    objects = encode_all(stack, volume, Result((make_segment(mask),), (make_finding(),)), make_author())
    for ds in objects:
        write_dicom(ds, tmp_path / "one.dcm")
        assert dciodvfy_errors(tmp_path / "one.dcm") == []
    places = {header.SOPInstanceUID: k for k, header in enumerate(stack.headers)}
    found = np.zeros(stack.shape, bool)
    for annotation in objects[0].GraphicAnnotationSequence:
        if "GraphicObjectSequence" in annotation:
            k = places[annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID]
            rings = [np.reshape(item.GraphicData, (-1, 2)) for item in annotation.GraphicObjectSequence]
            found[k] = fill(rings, stack.shape[1:])
    np.testing.assert_array_equal(found, mask)
