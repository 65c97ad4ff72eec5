"""A capture is a true picture of the result, says what it is not for in its very pixels, and names no patient."""

import dataclasses
import io

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from node.dicom.capture import MOST_TILES, encode_capture, order_planes
from node.dicom.lettering import Lettering
from node.dicom.mask import BOX_COLOR
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Box, Code, Finding, Result, Volume
from tests.judges import dciodvfy_errors
from tests.results import (
    CORPUS,
    NODULE,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series

PLAIN = Lettering(())
"""The font that the drawing library has by itself: the same on every machine."""
COLOR = (255, 0, 200)


@pytest.fixture(params=["plain", "oblique", "sagittal", "MR", "few pixels", "enhanced, some frames, reversed"])
def stack(request):
    return CORPUS[request.param]()


def make_volume(stack, seed=1):
    voxels = np.random.default_rng(seed).normal(40, 60, stack.shape).astype(np.float32)
    return Volume(voxels, stack.affine, stack.frame_of_reference_uid, stack.modality)


def encode(stack, result, author=None, volume=None):
    return encode_capture(stack, volume or make_volume(stack), result, author or make_author(), lettering=PLAIN)


def read(ds, folder):
    write_dicom(ds, folder / "sc.dcm")
    return folder / "sc.dcm", pydicom.dcmread(folder / "sc.dcm")


def is_colored(page):
    return (page == COLOR).all(axis=2)


def make_colored(mask):
    return Result((make_segment(mask, color=COLOR),), (make_finding(),))


@pytest.mark.judge
def test_dciodvfy_finds_no_error(stack, tmp_path):
    path, ds = read(encode(stack, make_result(stack.shape, 2)), tmp_path)
    assert dciodvfy_errors(path) == []
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


def find_words(page, text, size, ink):
    """The rows of `page` from which `text` stands at its left margin in pixels of pure `ink`."""
    stamp = Image.new("L", (1280, 2 * size), 0)
    ImageDraw.Draw(stamp).text((16, size), text, fill=255, font=ImageFont.load_default(size), anchor="ls")
    solid = np.asarray(stamp) == 255
    assert solid.sum() > 100
    shown = np.pad((page == ink).all(axis=2), ((0, 2 * size), (0, 0)))
    return [y for y in range(page.shape[0]) if shown[y : y + 2 * size][solid].all()]


def test_the_caution_is_burned_into_the_pixels_above_and_beneath():
    stack = CORPUS["plain"]()
    page = encode(stack, make_result(stack.shape)).pixel_array
    first, *_, last = find_words(page, "AI result, not for diagnosis", 19, (255, 210, 80))
    assert first < 80
    assert last > page.shape[0] - 60
    assert find_words(page, "Lung nodules", 30, (235, 235, 235))
    assert not find_words(page, "AI result, fit for diagnosis", 19, (255, 210, 80))


def test_name_version_and_numbers_are_burned_in():
    stack = CORPUS["plain"]()
    result = make_result(stack.shape)
    page = encode(stack, result).pixel_array
    other = encode(stack, result, make_author(version="9.9.9")).pixel_array
    assert (page[:80] != other[:80]).any()
    (finding,) = result.findings
    wider = dataclasses.replace(finding, measurements=finding.measurements[:1])
    fewer = encode(stack, dataclasses.replace(result, findings=(wider,))).pixel_array
    assert (page[-200:] != fewer[-200:]).any()


def test_answers_are_burned_in_beside_the_numbers():
    stack = CORPUS["plain"]()
    result = make_result(stack.shape)
    asked, solid = Code("DENS", "99TEST", "Density type"), Code("RID50151", "RADLEX", "Solid pulmonary nodule")
    answered = dataclasses.replace(result.findings[0], qualifiers=((asked, solid),))
    page, more = (
        encode(stack, dataclasses.replace(result, findings=(one,))).pixel_array
        for one in (result.findings[0], answered)
    )
    assert page.shape != more.shape or (page[-200:] != more[-200:]).any()


def test_no_word_on_it_is_the_patients():
    slices = make_series()
    named, other = (make_stack([pydicom.Dataset(ds) for ds in slices]) for _ in range(2))
    for ds in other.headers:
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.StudyDate = "Else^Anna", "Q-9", "19990909", "20200202"
        ds.AccessionNumber = "B-7"
    result = make_result(named.shape)
    pages = [encode(stack, result, volume=make_volume(named)).pixel_array for stack in (named, other)]
    np.testing.assert_array_equal(*pages)


def test_outlines_lie_where_the_mask_is():
    stack = make_stack(make_series((5, 40, 40), (2, 1, 1)))
    mask = np.zeros(stack.shape, bool)
    mask[2, 10:25, 5:30] = True
    page = encode(stack, make_colored(mask)).pixel_array
    grown = page[: page.shape[0] - 150]  # above the legend, whose patch has the same color
    rows, columns = np.nonzero(is_colored(grown))
    assert (np.ptp(columns) + 1) / (np.ptp(rows) + 1) == pytest.approx(25 / 15, rel=0.01)
    inner = is_colored(grown)[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]
    assert not inner.any()  # an outline, not a block


def test_pixels_that_are_not_square_are_shown_in_true_proportion():
    stack = make_stack(make_series((5, 20, 40), (2, 2.0, 1.0)))
    mask = np.zeros(stack.shape, bool)
    mask[2, 5:15, 10:30] = True  # 20 mm by 20 mm
    page = encode(stack, make_colored(mask)).pixel_array
    rows, columns = np.nonzero(is_colored(page[: page.shape[0] - 150]))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)


def test_one_pixel_of_a_large_image_is_still_seen():
    stack = make_stack(make_series((30, 600, 600), (2, 0.5, 0.5)))
    mask = np.zeros(stack.shape, bool)
    mask[:, 301, 303] = True
    page = encode(stack, make_colored(mask)).pixel_array
    assert ndimage.label(is_colored(page))[1] == MOST_TILES + 1  # and the patch of the legend


def test_each_of_several_small_things_is_on_the_sheet():
    stack = make_stack(make_series((200, 40, 40), (1, 1, 1)))
    masks = np.zeros((15, *stack.shape), bool)
    for n in range(15):
        masks[n, 13 * n : 13 * n + 5, 5:15, 5:15] = True
        masks[n, 13 * n + 3, 5:20, 5:20] = True
    segments = tuple(make_segment(masks[n], f"nodule-{n}") for n in range(15))
    result = Result(segments, tuple(make_finding(segment.key) for segment in segments))
    shown = {source.ReferencedSOPInstanceUID for source in encode(stack, result).SourceImageSequence}
    assert {stack.headers[13 * n + 3].SOPInstanceUID for n in range(15)} <= shown
    assert len(shown) == MOST_TILES


@pytest.mark.parametrize("backward", [False, True])
def test_tiles_go_as_the_images_are_numbered(backward):
    slices = make_series((5, 8, 8))
    for k, ds in enumerate(slices, 1):
        ds.InstanceNumber = 6 - k if backward else k
    planes = order_planes(make_stack(slices), [0, 2, 4])
    assert [int(slices[k].InstanceNumber) for k in planes] == [1, 3, 5]


@pytest.mark.parametrize(("planes", "tiles"), [(3, 3), (5, 5), (20, 20), (600, 20)])
def test_any_number_of_planes_makes_one_page_of_bearable_size(planes, tiles):
    stack = make_stack(make_series((planes, 8, 8), (1, 1, 1)))
    ds = encode(stack, make_empty_result())
    assert len(ds.SourceImageSequence) == tiles
    assert ds.Columns == 1280
    assert 400 < ds.Rows < 1500


def test_every_source_image_is_one_of_the_stack_and_shows_what_was_found(stack):
    result = make_result(stack.shape, 1)
    ds = encode(stack, result)
    places = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    for source in ds.SourceImageSequence:
        for number in np.atleast_1d(source.get("ReferencedFrameNumber", 1)):
            assert result.segments[0].mask[places[str(source.ReferencedSOPInstanceUID), int(number)]].any()


def test_a_box_is_drawn_where_there_is_no_segment():
    stack = make_stack(make_series((9, 40, 40), (2, 1, 1)))
    finding = Finding("n", NODULE, box=Box((2.5, 4.5, 9.5), (5.5, 14.5, 29.5)))  # 10 by 20 pixels on three planes
    ds = encode(stack, Result((), (finding,)))
    assert len(ds.SourceImageSequence) == 3
    boxed = (ds.pixel_array == BOX_COLOR).all(axis=2)
    corners = [place for place in ndimage.find_objects(ndimage.label(boxed)[0]) if place[1].stop - place[1].start > 40]
    assert len(corners) == 3
    for rows, columns in corners:
        assert (columns.stop - columns.start) / (rows.stop - rows.start) == pytest.approx(2, rel=0.02)


def test_a_box_around_segments_of_its_kind_is_not_drawn_over_them():
    stack = make_stack(make_series((9, 40, 40), (2, 1, 1)))
    mask = np.zeros(stack.shape, bool)
    mask[3:6, 10:20, 10:20] = True
    whole, beside = Box.around(mask), Box((2.5, 24.5, 24.5), (5.5, 30.5, 30.5))
    for box, drawn in ((whole, False), (beside, True)):
        result = Result((make_segment(mask),), (make_finding(), Finding("both", NODULE, box=box)))
        page = encode(stack, result).pixel_array
        assert (page == BOX_COLOR).all(axis=2).any() == drawn


def test_nothing_found_is_said_on_a_sheet_without_outlines():
    stack = CORPUS["plain"]()
    volume = make_volume(stack)
    absent = encode(stack, make_empty_result(), volume=volume).pixel_array
    present = encode(
        stack,
        dataclasses.replace(
            make_empty_result(), findings=(dataclasses.replace(make_empty_result().findings[0], absent=False),)
        ),
        volume=volume,
    ).pixel_array
    assert absent.shape == present.shape
    assert (absent[-200:] != present[-200:]).any()
    np.testing.assert_array_equal(absent[:-200], present[:-200])


def test_what_a_deidentifier_asks_is_answered():
    expected = {"CHEST": "NO", "HEAD": None, None: None}
    for part, answer in expected.items():
        stack = make_stack(make_series(**({"BodyPartExamined": part} if part else {})))
        ds = encode(stack, make_empty_result())
        assert ds.BurnedInAnnotation == "YES"
        assert ds.get("RecognizableVisualFeatures") == answer
    stack = make_stack(make_series(BodyPartExamined="HEAD", RecognizableVisualFeatures="YES"))
    assert encode(stack, make_empty_result()).RecognizableVisualFeatures == "YES"


def test_it_cannot_be_measured_on_nor_be_taken_for_a_source_of_its_modality():
    ds = encode(CORPUS["plain"](), make_empty_result())
    assert (ds.Modality, ds.ConversionType, ds.SeriesNumber) == ("OT", "WSD", 7006)
    assert "PixelSpacing" not in ds
    assert "FrameOfReferenceUID" not in ds
    assert "not reviewed by a person" in ds.DerivationDescription
    assert ds.SeriesDescription == "AI, not reviewed: Lung nodules"


def test_the_same_call_makes_the_same_bytes_for_the_same_patient():
    slices = make_series(SpecificCharacterSet="ISO_IR 192", PatientName="김^희중", PatientID="K-1")
    made = []
    for _ in range(2):
        stack = make_stack(slices)
        ds = encode(stack, make_result(stack.shape))
        buffer = io.BytesIO()
        ds.save_as(buffer)
        made.append(buffer.getvalue())
    assert made[0] == made[1]
    assert (str(ds.PatientName), ds.PatientID, ds.StudyInstanceUID) == ("김^희중", "K-1", stack.study_uid)


def test_a_volume_or_mask_on_another_grid_is_refused():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="volume"):
        encode(stack, make_empty_result(), volume=make_volume(CORPUS["odd columns"]()))
    with pytest.raises(EncodingError, match="'nodule-1'"):
        encode(stack, make_result((4, 16, 18)))


def test_a_real_chest_has_its_lungs_outlined(real_data, tmp_path):
    stacks, _ = read_stacks(sorted((real_data / "ct_chest_CMB-CRC_01068").glob("*.dcm")))
    stack = stacks[0]
    volume = load_volume(stack)
    body = volume.voxels[:, 128:384, 96:416]
    mask = np.zeros(stack.shape, bool)
    mask[:, 128:384, 96:416] = body < -600
    path, ds = read(encode(stack, make_colored(mask), volume=volume), tmp_path)
    assert dciodvfy_errors(path) == []
    assert is_colored(ds.pixel_array).sum() > 10_000
