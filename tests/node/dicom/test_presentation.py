"""A presentation state outlines exactly what was found, on the images it was found in, as they are windowed."""

import dataclasses
import io
import shutil
import subprocess
from datetime import datetime, timedelta, timezone

import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor
from PIL import Image

from node.dicom.presentation import encode_presentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Box, Finding, Result
from tests.judges import dciodvfy_errors
from tests.node.dicom.test_outline import fill
from tests.results import CORPUS, LUNG, NODULE, make_author, make_empty_result, make_result, make_segment, make_stack
from tests.series import make_series


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def read(ds, folder):
    write_dicom(ds, folder / "pr.dcm")
    return folder / "pr.dcm", pydicom.dcmread(folder / "pr.dcm")


def planes_by_reference(stack):
    return {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}


def masks_by_layer(ds, stack):
    """Masks by layer, filled again on the planes that the annotations name."""
    planes = planes_by_reference(stack)
    masks = {layer.GraphicLayer: np.zeros(stack.shape, bool) for layer in ds.GraphicLayerSequence}
    for annotation in ds.GraphicAnnotationSequence:
        if "GraphicObjectSequence" not in annotation:
            continue
        (image,) = annotation.ReferencedImageSequence
        k = planes[str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))]
        outlines = [np.reshape(item.GraphicData, (-1, 2)) for item in annotation.GraphicObjectSequence]
        masks[annotation.GraphicLayer][k] ^= fill(outlines, stack.shape[1:])
    return masks


def test_what_the_outlines_hold_is_what_was_found(stack, tmp_path):
    result = make_result(stack.shape, 2)
    _, ds = read(encode_presentation(stack, result, make_author()), tmp_path)
    masks = masks_by_layer(ds, stack)
    for n, segment in enumerate(result.segments, 1):
        np.testing.assert_array_equal(masks[f"AI_{n}"], segment.mask)


@pytest.mark.judge
def test_dciodvfy_finds_no_error(stack, tmp_path):
    path, _ = read(encode_presentation(stack, make_result(stack.shape, 2), make_author()), tmp_path)
    assert dciodvfy_errors(path) == []


@pytest.mark.judge
def test_dcmpschk_finds_no_error(stack, tmp_path):
    if shutil.which("dcmpschk") is None:
        pytest.skip("dcmpschk is not installed (Debian package dcmtk)")
    # Of UTC itself, +0000 (PS3.5 6.2), dcmtk 3.6.7 says that it is no DT.
    created = datetime(2024, 1, 2, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    author = dataclasses.replace(make_author(), created=created)
    path, _ = read(encode_presentation(stack, make_result(stack.shape, 2), author), tmp_path)
    done = subprocess.run(["dcmpschk", path], capture_output=True, text=True, check=False)
    assert "Test passed" in done.stdout + done.stderr


def test_each_segment_has_a_layer_in_its_color_and_a_label(tmp_path):
    stack = CORPUS["plain"]()
    first, second = (ellipse.mask for ellipse in make_result(stack.shape, 2).segments)
    segments = (
        make_segment(first, "one", label="Right lung", color=(250, 60, 40)),
        make_segment(second, "two", label="肺", color=(10, 90, 240)),
    )
    ds = encode_presentation(stack, Result(segments, make_empty_result().findings), make_author())
    layers = {layer.GraphicLayerDescription: layer for layer in ds.GraphicLayerSequence}
    assert list(layers) == ["Right lung", "肺", "Caution"]
    for segment in segments:
        layer = layers[segment.label]
        color = CIELabColor.from_dicom_value(layer.GraphicLayerRecommendedDisplayCIELabValue).to_rgb()
        np.testing.assert_allclose(color, segment.color, atol=2)
        texts = {
            text.UnformattedTextValue
            for item in ds.GraphicAnnotationSequence
            if item.GraphicLayer == layer.GraphicLayer
            for text in item.TextObjectSequence
        }
        assert texts == {f"AI: {segment.label}"}


def test_the_caution_stands_on_every_image():
    stack = CORPUS["plain"]()
    author = make_author()
    ds = encode_presentation(stack, make_result(stack.shape), author)
    (everywhere,) = [item for item in ds.GraphicAnnotationSequence if "ReferencedImageSequence" not in item]
    (text,) = everywhere.TextObjectSequence
    assert text.UnformattedTextValue == "AI, not reviewed: lung-nodule 1.2.0. Not for: primary diagnosis."
    (series,) = ds.ReferencedSeriesSequence
    listed = [item.ReferencedSOPInstanceUID for item in series.ReferencedImageSequence]
    assert listed == [header.SOPInstanceUID for header in stack.headers]
    assert ds.SeriesDescription == f"AI, not reviewed: {author.manifest.title}"


def test_frames_of_a_multi_frame_image_are_named_by_number():
    stack = CORPUS["enhanced, some frames, reversed"]()
    ds = encode_presentation(stack, make_result(stack.shape), make_author())
    (image,) = ds.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert list(image.ReferencedFrameNumber) == [2, 3, 4, 5]


def test_one_window_of_all_images_is_taken_over_once():
    stack = make_stack(make_series(WindowCenter=[-600, 40], WindowWidth=[1500, 400]))
    ds = encode_presentation(stack, make_result(stack.shape), make_author())
    (window,) = ds.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (-600, 1500)
    assert "ReferencedImageSequence" not in window
    assert (ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType) == (1, -1024, "HU")
    assert ds.PresentationLUTShape == "IDENTITY"


def test_windows_that_differ_are_given_to_the_images_that_have_them():
    slices = make_series(modality="MR")
    for k, ds in enumerate(slices):
        ds.WindowCenter, ds.WindowWidth = 100 + k % 2, 200
    stack = make_stack(slices)
    items = encode_presentation(stack, make_result(stack.shape), make_author()).SoftcopyVOILUTSequence
    given = {float(i.WindowCenter): [r.ReferencedSOPInstanceUID for r in i.ReferencedImageSequence] for i in items}
    for n in (0, 1):
        assert given[100 + n] == [ds.SOPInstanceUID for ds in slices[n::2]]


def test_where_slopes_differ_windows_speak_of_stored_values():
    slices = make_series(modality="MR", RescaleIntercept=10, RescaleSlope=1, WindowCenter=110, WindowWidth=400)
    slices[2].RescaleSlope = 2
    stack = make_stack(slices)
    ds = encode_presentation(stack, make_result(stack.shape), make_author())
    assert "RescaleSlope" not in ds
    windows = {}
    for item in ds.SoftcopyVOILUTSequence:
        for image in item.ReferencedImageSequence:
            windows[image.ReferencedSOPInstanceUID] = float(item.WindowCenter), float(item.WindowWidth)
    assert windows == {one.SOPInstanceUID: (50, 200) if k == 2 else (100, 400) for k, one in enumerate(slices)}


@pytest.mark.judge
@pytest.mark.parametrize("case", ["one slope", "slopes that differ", "windows that differ"])
def test_dcmtk_shows_an_image_through_it_as_the_image_says_itself(case, tmp_path):
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("dcmp2pgm is not installed (Debian package dcmtk)")
    slices = make_series(WindowCenter=-600, WindowWidth=1500)
    if case == "slopes that differ":
        slices[1].RescaleSlope, slices[1].RescaleIntercept = 2, -1500
    if case == "windows that differ":
        slices[1].WindowCenter, slices[1].WindowWidth = -600, 400
    stack = make_stack(slices)
    path, _ = read(encode_presentation(stack, make_result(stack.shape), make_author()), tmp_path)
    for ds in slices[:2]:
        ds.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        command = ["dcmp2pgm", "--pstate", path, tmp_path / "image.dcm", tmp_path / "shown.pgm"]
        subprocess.run(command, check=True, capture_output=True)
        shown = np.asarray(Image.open(tmp_path / "shown.pgm"), float)
        values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        center, width = float(ds.WindowCenter), float(ds.WindowWidth)
        expected = np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
        assert np.abs(shown - expected).max() <= 2
        assert np.ptp(shown) > 30


def test_images_without_a_window_get_the_one_that_the_caller_gives():
    stack = make_stack(make_series(modality="MR"))
    result = make_result(stack.shape)
    assert "SoftcopyVOILUTSequence" not in encode_presentation(stack, result, make_author())
    (window,) = encode_presentation(stack, result, make_author(), limits=(0, 99)).SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (50, 100)


def test_inverted_images_stay_inverted():
    stack = make_stack(make_series(modality="MR", PhotometricInterpretation="MONOCHROME1"))
    assert encode_presentation(stack, make_result(stack.shape), make_author()).PresentationLUTShape == "INVERSE"


def test_the_whole_of_each_image_is_displayed_undistorted():
    stack = make_stack(make_series((5, 16, 20), (1.5, 0.9, 0.6)))
    (area,) = encode_presentation(stack, make_result(stack.shape), make_author()).DisplayedAreaSelectionSequence
    assert (area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner) == ([1, 1], [20, 16])
    assert [float(v) for v in area.PresentationPixelSpacing] == [0.9, 0.6]


def test_an_outline_too_long_for_one_object_goes_on_in_the_next(tmp_path):
    comb = np.zeros((3, 160, 240), bool)
    comb[1, 0] = True
    comb[1, 1::2, 2::4] = True  # teeth with teeth: a point in every row of every edge
    comb[1, :, 0::4] = comb[1, :, 1::4] = True
    stack = make_stack(make_series(comb.shape))
    result = Result((make_segment(comb),), make_empty_result().findings)
    _, ds = read(encode_presentation(stack, result, make_author()), tmp_path)
    np.testing.assert_array_equal(masks_by_layer(ds, stack)["AI_1"], comb)
    assert all(
        item["GraphicData"].VR == "FL" and len(item.GraphicData) == 2 * item.NumberOfGraphicPoints < 2**14
        for annotation in ds.GraphicAnnotationSequence
        for item in annotation.get("GraphicObjectSequence", [])
    )
    assert max(len(a.get("GraphicObjectSequence", [])) for a in ds.GraphicAnnotationSequence) > 1


def test_the_same_call_makes_the_same_bytes():
    slices = make_series()
    made = []
    for _ in range(2):
        stack = make_stack(slices)
        buffer = io.BytesIO()
        encode_presentation(stack, make_result(stack.shape), make_author()).save_as(buffer)
        made.append(buffer.getvalue())
    assert made[0] == made[1]


def test_it_belongs_to_the_patient_and_study_of_its_images():
    name = "Yamada^Tarou=山田^太郎"
    stack = make_stack(make_series(SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID="Я-1"))
    ds = encode_presentation(stack, make_result(stack.shape), make_author())
    assert (str(ds.PatientName), ds.PatientID, ds.StudyInstanceUID) == (name, "Я-1", stack.study_uid)
    assert ds.SeriesInstanceUID != stack.series_uid
    assert (ds.Modality, ds.SeriesNumber) == ("PR", 7004)


def test_the_box_of_a_finding_without_a_segment_is_outlined(tmp_path):
    stack = CORPUS["plain"]()
    finding = Finding("n", NODULE, site=LUNG, box=Box((0.5, 2.5, 3.5), (2.5, 6.5, 9.5)))
    _, ds = read(encode_presentation(stack, Result((), (finding,)), make_author()), tmp_path)
    expected = np.zeros(stack.shape, bool)
    expected[1:3, 3:7, 4:10] = True
    np.testing.assert_array_equal(masks_by_layer(ds, stack)["AI_1"], expected)
    assert ds.GraphicLayerSequence[0].GraphicLayerDescription == "Nodule, Lung"
    outside = Finding("far", NODULE, box=Box((7.5, 2.5, 3.5), (8.5, 6.5, 9.5)))
    with pytest.raises(EncodingError, match="'far'"):
        encode_presentation(stack, Result((), (outside,)), make_author())


def test_nothing_found_is_refused():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="nothing to outline"):
        encode_presentation(stack, make_empty_result(), make_author())


def test_a_mask_on_another_grid_is_refused_by_its_key():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="'nodule-1'"):
        encode_presentation(stack, make_result((4, 16, 18)), make_author())


def test_a_negative_slope_is_refused():
    stack = make_stack(make_series(RescaleSlope=-1))
    with pytest.raises(EncodingError, match="Rescale Slope"):
        encode_presentation(stack, make_result(stack.shape), make_author())
