"""The whole way of tilted and uneven images: files, an upright volume, an answer, and its place on each image."""

import copy
import random
from dataclasses import replace

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydicom.pixels import pixel_array
from pydicom.uid import generate_uid

from node.dicom.segmentation import encode_segmentation
from node.dicom.stacking import read_stacks
from node.dicom.upright import make_upright
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from node.errors import DuplicateSlices, MissingSlices, TiltedGantry, UnevenGeometry
from pipelines.terms import Axes, Box, Code, Result, ScalarMap, Volume
from tests.balls import (
    AIR_HU,
    CENTER,
    HALF_HU,
    ball_series,
    centroid,
    dice,
    distances,
    grid_places,
    make_depths,
    on_planes,
    places,
    stack_of,
    surface_errors,
    tilted_head,
)
from tests.judges import dciodvfy_errors, segments_of
from tests.results import SAGITTAL, TURNED, make_author, make_finding, make_segment
from tests.series import make_series, write_series

LIMITS = {"max_tilt_degrees": 30.0, "max_uneven_mm": 5.0}
RATIO = Code("1", "UCUM", "no units")


def read(slices, folder, seed=0):
    """The one stack of `slices`, written in an order that says nothing."""
    slices = list(slices)
    random.Random(seed).shuffle(slices)
    (stack,), refusals = read_stacks(write_series(slices, folder), **LIMITS)
    assert not refusals
    return stack


def answer(stack):
    """(upright, what a threshold finds in it laid back on the stack)."""
    upright = make_upright(stack, load_volume(stack))
    segment = make_segment(upright.volume.voxels >= HALF_HU)
    return upright, upright.restore(Result((segment,), (make_finding(),)))


def planes_of_segmentation(ds, slices):
    """The mask of a Segmentation on `slices`, told by nothing but the positions of its frames."""
    found = np.zeros((len(slices), ds.Rows, ds.Columns), bool)
    where = {tuple(float(v) for v in image.ImagePositionPatient): n for n, image in enumerate(slices)}
    for frame, groups in zip(pixel_array(ds), ds.PerFrameFunctionalGroupsSequence, strict=True):
        position = tuple(float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient)
        found[where[position]] = frame > 0
    return found


@pytest.mark.parametrize("degrees", [5, 15, 30])
@pytest.mark.parametrize("spacing", [1.0, 2.5, 5.0])
def test_a_ball_in_a_tilted_head_comes_back_where_it_is(degrees, spacing, tmp_path):
    slices = ball_series(make_depths(spacing), orientation=tilted_head(degrees), tilt=degrees)
    step = np.array(slices[1].ImagePositionPatient) - np.array(slices[0].ImagePositionPatient)
    assert np.abs(step[:2]).max() < 1e-5, "the table moves along z"
    stack = read(slices, tmp_path)
    assert stack.tilt_degrees == pytest.approx(degrees, abs=0.01)
    assert (stack.is_regular, stack.is_upright) == (True, False)
    _, result = answer(stack)
    ds = encode_segmentation(stack, result, make_author())
    found = planes_of_segmentation(ds, slices)
    assert np.linalg.norm(centroid(slices, found) - CENTER) < 0.5
    assert surface_errors(slices, found).mean() < 0.5
    assert dice(found, on_planes(slices)) >= 0.95


def test_every_frame_of_the_segmentation_lies_exactly_where_its_source_does(tmp_path):
    for name, jitter in (("even", 0.0), ("uneven", 0.3)):
        slices = ball_series(make_depths(2.5, 12, jitter, 8), orientation=tilted_head(17), tilt=17)
        stack = read(slices, tmp_path / name)
        _, result = answer(stack)
        write_dicom(encode_segmentation(stack, result, make_author()), tmp_path / name / "seg")
        ds = encode_segmentation(stack, result, make_author())
        sources = {header.SOPInstanceUID: header for header in stack.headers}
        assert ds.NumberOfFrames > 5
        for groups in ds.PerFrameFunctionalGroupsSequence:
            (source,) = groups.DerivationImageSequence[0].SourceImageSequence
            own = sources[source.ReferencedSOPInstanceUID].ImagePositionPatient
            assert [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient] == [float(v) for v in own]


def test_where_a_map_has_no_value_no_image_gets_one_mixed_with_it():
    slices = ball_series(make_depths(2.5, 12.0, 0.3, 8), tilt=12)
    stack = stack_of(slices)
    voxels = np.stack([pixel_array(ds) - 1024 for ds in slices]).astype(np.float32)
    upright = make_upright(stack, Volume(voxels, stack.affine, "1.2", "CT"))
    values = np.full(upright.volume.shape, 5.0, np.float32)
    values[: values.shape[0] // 2] = -1.0
    scalars = ScalarMap("miss", "Miss", values, RATIO, Code("mm", "UCUM", "millimeter"), nothing=-1.0)
    (laid,) = upright.restore(Result((), (replace(make_finding(), segment_key=None),), maps=(scalars,))).maps
    assert laid.nothing == -1.0
    assert ((laid.values == -1.0) | (np.abs(laid.values - 5.0) < 1e-4)).all()
    assert 0.4 < (laid.values == -1.0).mean() < 0.6
    whole = upright.restore(
        Result((), (replace(make_finding(), segment_key=None),), maps=(replace(scalars, nothing=None),))
    )
    assert (np.abs(whole.maps[0].values - 2.0) < 2.5).any()


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, TURNED])
def test_a_stack_against_its_normal_is_answered_like_one_along_it(orientation):
    slices = ball_series(make_depths(2.5, 12.0, 0.3, 8), orientation=orientation, tilt=15, towards=2.0)
    found = []
    for order in (slices, slices[::-1]):
        stack = stack_of(order)
        voxels = np.stack([pixel_array(ds) - 1024 for ds in order]).astype(np.float32)
        upright = make_upright(stack, Volume(voxels, stack.affine, "1.2", "CT"))
        result = upright.restore(Result((make_segment(upright.volume.voxels >= HALF_HU),), (make_finding(),)))
        found.append(planes_of_segmentation(encode_segmentation(stack, result, make_author()), slices))
    assert dice(found[0], on_planes(slices)) >= 0.95
    assert dice(found[0], found[1]) > 0.98
    even = ball_series(make_depths(2.5), orientation=orientation, tilt=15, towards=2.0)
    for order in (even, even[::-1]):
        assert stack_of(order).tilt_degrees == pytest.approx(15, abs=0.01)
        assert not stack_of(order).is_upright


ANGLE = st.floats(0, 2 * np.pi)


@settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],  # an example takes too long to be made smaller
)
@given(
    turn=st.tuples(ANGLE, ANGLE, ANGLE),
    mirror=st.booleans(),
    spacing=st.floats(1.0, 5.0),
    pixel=st.tuples(st.integers(60, 150), st.integers(60, 150)),
    tilt=st.one_of(st.just(0.0), st.floats(1.0, 30.0)),
    towards=ANGLE,
    jitter=st.one_of(st.just(0.0), st.floats(0.05, 0.4)),
    seed=st.integers(0, 2**16),
    multi_frame=st.booleans(),
)
def test_a_ball_comes_back_from_any_geometry_or_is_refused_by_name(
    turn, mirror, spacing, pixel, tilt, towards, jitter, seed, multi_frame, tmp_path_factory
):
    slices = ball_series(
        make_depths(spacing, 12.0, jitter, seed), orientation=_orientation(turn, mirror),
        tilt=tilt, towards=towards, pixel=(pixel[0] / 100, pixel[1] / 100),
    )  # fmt: skip
    write = write_multi_frame if multi_frame else write_series
    shuffled = random.Random(seed).sample(slices, len(slices))
    stacks, refusals = read_stacks(write(shuffled, tmp_path_factory.mktemp("ball")), **LIMITS)
    if refusals:  # of few planes that stray far, nobody can tell whether one is missing
        assert jitter > 0.25
        assert isinstance(refusals[0].error, MissingSlices | UnevenGeometry)
        return
    (stack,) = stacks
    upright, result = answer(stack)
    found = planes_of_segmentation(encode_segmentation(stack, result, make_author()), slices)
    truth = on_planes(slices)
    assert dice(found, truth) >= 0.95
    assert np.linalg.norm(centroid(slices, found) - centroid(slices, truth)) < 0.5
    if jitter <= 0.1:  # a few uneven planes sample the ball itself worse than that
        assert np.linalg.norm(centroid(slices, found) - CENTER) < 0.5
    assert (upright.placement is None) == stack.is_upright == (tilt == 0 and jitter == 0)
    assert len(stack.headers) == (1 if multi_frame else len(slices))


def _orientation(turn, mirror):
    """Any pair of unit vectors at right angles."""
    (a, b, c), row, column = turn, np.array([1.0, 0, 0]), np.array([0, -1.0 if mirror else 1.0, 0])
    for (p, q), angle in zip(((0, 1), (1, 2), (0, 2)), (a, b, c), strict=True):
        matrix = np.eye(3)
        matrix[[p, p, q, q], [p, q, p, q]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        row, column = matrix @ row, matrix @ column
    return tuple(np.concatenate([row, column]))


def write_multi_frame(slices, folder):
    image = LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 2, "1.2.3.9.1", 1)
    image.save_as(folder / "image", enforce_file_format=True)
    return [folder / "image"]


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, TURNED])
@pytest.mark.parametrize("jitter", [0.0, 0.4])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_upright_volume_shows_the_patient_where_it_is(orientation, jitter, reverse):
    slices = ball_series(make_depths(2.5, 12.0, jitter, 3), orientation=orientation, tilt=20, towards=1.0)
    slices = slices[::-1] if reverse else slices
    stack = stack_of(slices)
    field = np.array([7.0, -5.0, 3.0])
    voxels = np.stack([places(ds) @ field for ds in slices]).astype(np.float32)
    upright = make_upright(stack, Volume(voxels, stack.affine, "1.2", "CT"))
    expected = grid_places(upright.volume.shape, upright.volume.affine) @ field
    corners = upright.placement.corners
    first, end = corners.max(axis=0) + 1, corners.min(axis=0) + upright.placement.size - 1  # where all planes reach
    inner = (slice(None), slice(first[0], end[0]), slice(first[1], end[1]))
    assert expected[inner].size > 10_000
    np.testing.assert_allclose(upright.volume.voxels[inner], expected[inner], atol=0.1)  # 0.01 mm


@pytest.mark.parametrize(("modality", "fill"), [("CT", -1024.0), ("MR", -3.0)])
@pytest.mark.parametrize("towards", [np.pi / 2, -np.pi / 2])
def test_where_no_plane_reaches_there_is_air(modality, fill, towards):
    stack = stack_of(ball_series(make_depths(5.0, 12.0, 0.3), tilt=30, towards=towards))
    voxels = np.full(stack.shape, 7, np.float32)
    voxels[0, 0] = -3
    made = make_upright(stack, Volume(voxels, stack.affine, "1.2", modality)).volume
    ahead = -1 if towards > 0 else 0
    assert (made.voxels[0, ahead] == fill).all()
    assert (made.voxels[-1, -1 - ahead] == fill).all()
    elsewhere = made.voxels[10:].round(3)
    assert set(np.unique(elsewhere)) == {7, fill}, "what one of two planes reaches is not mixed with air"
    assert np.count_nonzero(elsewhere == 7) >= elsewhere.shape[0] * stack.shape[1] * stack.shape[2]
    assert (made.modality, made.frame_of_reference_uid) == (modality, "1.2")


def test_an_upright_stack_is_read_and_answered_as_it_is(tmp_path):
    stack = read(make_series(), tmp_path)
    volume = load_volume(stack)
    upright = make_upright(stack, volume)
    result = Result((make_segment(volume.voxels > 0),), (make_finding(),))
    assert upright.volume is volume
    assert upright.restore(result) is result


def test_maps_and_findings_come_back_too_and_the_notes_say_what_was_done():
    stack = stack_of(ball_series(make_depths(2.5, 12.0, 0.3), orientation=tilted_head(12), tilt=12))
    upright = make_upright(stack, Volume(np.zeros(stack.shape, np.float32), stack.affine, "1.2", "CT"))
    values = np.full(upright.volume.shape, 0.25, np.float32)
    scalars = ScalarMap("chance", "Chance", values, RATIO, RATIO)
    segment = make_segment(np.ones(upright.volume.shape, bool))
    result = upright.restore(Result((segment,), (make_finding(),), maps=(scalars,)))
    assert result.findings == (make_finding(),)
    assert result.segments[0].mask.shape == result.maps[0].values.shape == stack.shape
    assert result.segments[0].mask.all()
    assert (result.maps[0].values == np.float32(0.25)).all()
    assert result.maps[0].values.dtype == np.float32
    said = " ".join(note.text for note in result.notes)
    assert "gantry tilted by 12.0 degrees" in said
    assert "not evenly spaced: they are 1." in said
    assert "laid back on each image" in said
    assert "ITK or dcmqi" in said


def test_a_box_comes_back_around_what_it_held_and_axes_are_to_be_found_again():
    slices = ball_series(make_depths(2.5, 12.0, 0.2), orientation=tilted_head(20), tilt=20)
    stack = stack_of(slices)
    truth = on_planes(slices)
    upright = make_upright(stack, Volume(np.where(truth, 100, 0).astype(np.float32), stack.affine, "1.2", "MR"))
    box = Box.around(upright.volume.voxels >= 50)
    axes = Axes(0, ((0, 0), (0, 9)), ((-1, 4), (1, 4)), 9.0, 2.0)
    found = replace(make_finding(), segment_key=None, box=box, axes=axes)
    (laid,) = upright.restore(Result((), (found,))).findings
    assert laid.axes is None
    inside = laid.box.to_mask(stack.shape)
    assert inside[truth].mean() > 0.95
    middle = np.argwhere(inside).mean(axis=0) - np.argwhere(truth).mean(axis=0)
    assert np.abs(middle).max() < 1.0, "pixels and planes"


def test_what_was_found_in_the_padding_is_not_shown_and_told():
    stack = stack_of(ball_series(make_depths(5.0), orientation=tilted_head(30), tilt=30))
    upright = make_upright(stack, Volume(np.zeros(stack.shape, np.float32), stack.affine, "1.2", "CT"))
    mask = np.zeros(upright.volume.shape, bool)
    mask[0, -1] = True
    result = upright.restore(Result((make_segment(mask, "nodule-7"),), (make_finding("nodule-7"),)))
    assert not result.segments[0].mask.any()
    assert any("nodule-7 lies beside the images" in note.text for note in result.notes)


def test_a_result_or_a_volume_of_another_shape_is_refused():
    stack = stack_of(ball_series(make_depths(5.0), tilt=10))
    volume = Volume(np.zeros(stack.shape, np.float32), stack.affine, "1.2", "CT")
    with pytest.raises(ValueError, match="nodule-1"):
        make_upright(stack, volume).restore(Result((make_segment(np.ones(stack.shape, bool)),), (make_finding(),)))
    with pytest.raises(ValueError, match="shape"):
        make_upright(stack, replace(volume, voxels=volume.voxels[1:]))


@pytest.mark.judge
def test_readers_who_rebuild_an_upright_grid_err_as_far_as_the_note_says(tmp_path):
    slices = ball_series(make_depths(2.5), orientation=tilted_head(15), tilt=15)
    stack = read(slices, tmp_path / "series")
    _, result = answer(stack)
    write_dicom(encode_segmentation(stack, result, make_author()), tmp_path / "seg.dcm")
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []
    ((voxels, matrix),) = segments_of(tmp_path / "seg.dcm", tmp_path / "dcmqi")
    theirs = matrix @ [*np.argwhere(voxels).mean(axis=0), 1]
    error = np.linalg.norm(theirs[:3] - CENTER)
    (said,) = [note.text for note in result.notes if "dcmqi" in note.text]
    assert 2.0 < error < float(said.partition("up to ")[2].split()[0])


def test_two_tilted_echoes_of_one_series_are_two_stacks(tmp_path):
    slices = [
        ds
        for echo in (10.0, 80.0)
        for ds in ball_series(make_depths(2.5), tilt=12, modality="MR", EchoTime=echo)
    ]  # fmt: skip
    stacks, refusals = read_stacks(write_series(slices, tmp_path), **LIMITS)
    assert ([stack.shape[0] for stack in stacks], refusals) == ([len(slices) // 2] * 2, [])
    assert {round(stack.tilt_degrees, 2) for stack in stacks} == {12.0}


def test_two_tilted_phases_that_interleave_unevenly_are_two_stacks(tmp_path):
    depths = np.arange(-15.0, 16.0, 5.0)
    one, two = ball_series(depths, tilt=12, AcquisitionNumber=1), ball_series(depths, tilt=12, AcquisitionNumber=2)
    for ds in two:
        ds.ImagePositionPatient = [float(v) for v in np.array(ds.ImagePositionPatient) + _shift(12)]
    stacks, refusals = read_stacks(write_series(one + two, tmp_path), max_tilt_degrees=30.0)
    assert ([stack.shape[0] for stack in stacks], refusals) == ([7, 7], [])


def _shift(degrees):
    """1 mm along the normal of axial images, on the line of a tilted gantry."""
    return np.array([0, np.tan(np.radians(degrees)), 1])


def test_duplicates_and_gaps_in_tilted_and_uneven_series_keep_their_names(tmp_path):
    slices = ball_series(make_depths(2.5, 12.0, 0.1), tilt=15)
    twin = copy.deepcopy(slices[4])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    twin.PixelData = bytes(len(twin.PixelData))
    for name, given_slices, error in (
        ("duplicate", [*slices, twin], DuplicateSlices),
        ("gap", slices[:5] + slices[6:], MissingSlices),
    ):
        stacks, (refusal,) = read_stacks(write_series(given_slices, tmp_path / name), **LIMITS)
        assert not stacks
        assert type(refusal.error) is error


@pytest.mark.parametrize(
    ("degrees", "jitter", "limits", "error"),
    [
        (15, 0.0, {}, TiltedGantry),
        (15, 0.0, {"max_uneven_mm": 5.0}, TiltedGantry),
        (15, 0.0, {"max_tilt_degrees": 14.5}, TiltedGantry),
        (35, 0.0, {"max_tilt_degrees": 60.0}, TiltedGantry),
        (0, 0.2, {}, UnevenGeometry),
        (0, 0.2, {"max_tilt_degrees": 30.0}, UnevenGeometry),
        (0, 0.2, {"max_uneven_mm": 0.3}, UnevenGeometry),
        (15, 0.2, {"max_tilt_degrees": 30.0}, UnevenGeometry),
    ],
)
def test_what_was_not_allowed_is_refused_by_name(degrees, jitter, limits, error, tmp_path):
    slices = ball_series(make_depths(2.5, 12.0, jitter), orientation=tilted_head(degrees), tilt=degrees)
    stacks, (refusal,) = read_stacks(write_series(slices, tmp_path), **limits)
    assert not stacks
    assert type(refusal.error) is error


def test_the_ball_is_painted_as_a_ball():
    (ds, *_) = ball_series(np.array([0.0, 1.0, 2.0]))
    hu = pixel_array(ds) - 1024
    assert hu[ds.Rows // 2, ds.Columns // 2] == 100
    assert hu[0, 0] == AIR_HU
    np.testing.assert_array_equal(hu >= HALF_HU, distances(ds) <= 12.0)
