"""Planes in the patient: one even grid, or the name of what is wrong with them."""

import numpy as np
import pytest

from node.dicom.geometry import find_affine, find_depths, find_tilt, name_orientation, read_plane
from node.dicom.header import find_frames
from node.errors import MissingSlices, TiltedGantry, TooFewSlices, UnevenGeometry
from tests.series import make_series

RNG = np.random.default_rng(5)


def rotation(rng=RNG):
    """A random pair (row, column) of unit vectors at right angles."""
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return [*q[:, 0], *q[:, 1]]


def planes_of(slices):
    return [read_plane(find_frames(ds)[0]) for ds in slices]


def planes_at(depths, **options):
    """Axial planes at the given z in mm."""
    slices = make_series(shape=(len(depths), 4, 5), **options)
    for ds, depth in zip(slices, depths, strict=True):
        ds.ImagePositionPatient = [0.0, 0.0, float(depth)]
    return planes_of(slices)


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0),
        (0, 1, 0, 0, 0, -1),
        (1, 0, 0, 0, 0, -1),
        (-1, 0, 0, 0, 1, 0),
        *(rotation() for _ in range(5)),
    ],
)
def test_the_affine_is_the_equation_of_the_standard(orientation):
    slices = make_series(shape=(5, 6, 7), spacing=(1.5, 0.8, 0.7), orientation=orientation, origin=(-10, 20, 3))
    affine = find_affine(planes_of(slices))
    for k, j, i in RNG.integers(0, (5, 6, 7), size=(10, 3)):
        ds = slices[k]
        # PS3.3 equation C.7.6.2.1-1: column index i runs along the first cosines in steps of the second spacing.
        x, y = np.array(ds.ImageOrientationPatient[:3], float), np.array(ds.ImageOrientationPatient[3:], float)
        between_rows, between_columns = ds.PixelSpacing
        expected = np.array(ds.ImagePositionPatient, float) + x * between_columns * i + y * between_rows * j
        np.testing.assert_allclose((affine @ [k, j, i, 1])[:3], expected, atol=1e-9)


def test_depth_grows_along_row_cross_column():
    planes = planes_of(make_series(orientation=(0, 1, 0, 0, 0, -1), spacing=(2.0, 1, 1)))
    np.testing.assert_allclose(planes[0].normal, [-1, 0, 0])
    np.testing.assert_allclose(np.diff(find_depths(planes)), 2.0)


def test_cosines_that_are_not_of_unit_length_do_not_scale_the_grid():
    slices = make_series(spacing=(2.0, 0.5, 0.25), orientation=(2, 0, 0, 0, 3, 0))
    for k, ds in enumerate(slices):
        ds.ImagePositionPatient = [0, 0, 2.0 * k]
    affine = find_affine(planes_of(slices))
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), [2.0, 0.5, 0.25])


def test_slice_thickness_is_not_the_distance_between_planes():
    slices = make_series(spacing=(1.5, 1, 1), SliceThickness=7.0)
    assert np.linalg.norm(find_affine(planes_of(slices))[:3, 0]) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("normal", "name"),
    [((0, 0, 1), "axial"), ((0, 0, -1), "axial"), ((0, -1, 0), "coronal"), ((1, 0, 0), "sagittal")],
)
def test_an_orientation_has_its_name_within_20_degrees(normal, name):
    axis = int(np.argmax(np.abs(normal)))
    for degrees, expected in ((0, name), (19.5, name), (20.5, "oblique"), (-19.5, name), (-20.5, "oblique")):
        turned = np.array(normal, float) * np.cos(np.radians(degrees))
        turned[(axis + 1) % 3] = np.sin(np.radians(degrees))
        assert name_orientation(turned) == expected


@pytest.mark.parametrize("spacing", [0.625, 1.25, 5.0])
def test_positions_rounded_by_the_scanner_are_even(spacing):
    depths = np.round(-321.37 + spacing * np.arange(200), 2)
    assert np.linalg.norm(find_affine(planes_at(depths))[:3, 0]) == pytest.approx(spacing, abs=1e-4)


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        ([0, 2.5, 5, 10, 12.5], "1 of 6 planes missing, between 5.00 and 10.00 mm"),
        ([0, 2.5, 10, 12.5, 15, 25], "5 of 11 planes missing, between 2.50 and 10.00 mm, 15.00 and 25.00 mm"),
        ([0, 1, 3], "1 of 4 planes missing"),
        ([-3, -1, 0], "1 of 4 planes missing, between -3.00 and -1.00 mm"),
    ],
)
def test_missing_planes_are_counted_and_placed(depths, said):
    with pytest.raises(MissingSlices, match=said):
        find_affine(planes_at(depths))


@pytest.mark.parametrize(
    "depths",
    [
        [0, 2, 4, 6.3, 8, 10],  # one plane out of line
        [0, 2, 4, 6, 9, 12],  # the spacing changes
        np.cumsum(np.linspace(1.0, 1.02, 60)),  # it drifts by 2 %, each step alone within any tolerance
        [0, 2, 4, 6, 8, 8.3],  # planes that nearly coincide
    ],
)
def test_uneven_planes_are_refused(depths):
    with pytest.raises(UnevenGeometry, match="beside an even grid"):
        find_affine(planes_at(depths))


def test_a_plane_shifted_within_itself_is_uneven_too():
    slices = make_series(shape=(7, 4, 4))
    slices[3].ImagePositionPatient[0] += 0.5
    with pytest.raises(UnevenGeometry, match="plane 4 of 7"):
        find_affine(planes_of(slices))


def test_a_tilted_gantry_is_refused_with_its_angle():
    tilt = np.radians(15)
    slices = make_series(step=(0, 2.5 * np.tan(tilt), 2.5))
    with pytest.raises(TiltedGantry, match=r"15\.00 degrees"):
        find_affine(planes_of(slices))


@pytest.mark.parametrize("degrees", [0.5, 15, 29.99, 30])
def test_a_tilt_that_is_allowed_makes_a_sheared_affine_that_is_exact(degrees):
    tilt = np.radians(degrees)
    slices = make_series(shape=(9, 4, 4), orientation=(1, 0, 0, 0, np.cos(tilt), np.sin(tilt)), step=(0, 0, 2.5))
    affine = find_affine(planes_of(slices), max_tilt_degrees=degrees)
    for k, ds in enumerate(slices):
        np.testing.assert_allclose((affine @ [k, 0, 0, 1])[:3], np.array(ds.ImagePositionPatient, float), atol=1e-9)
    np.testing.assert_allclose(affine[:3, 0], [0, 0, 2.5], atol=1e-9)


@pytest.mark.parametrize(("degrees", "allowed"), [(15, 14), (1, 0), (31, 60), (89, 90)])
def test_a_tilt_beyond_what_is_allowed_is_refused_with_both_angles(degrees, allowed):
    slices = make_series(step=(0, 2.5 * np.tan(np.radians(degrees)), 2.5))
    with pytest.raises(TiltedGantry, match=rf"{degrees}\.00 degrees") as refusal:
        find_affine(planes_of(slices), max_tilt_degrees=allowed)
    assert (f"more than {min(allowed, 30)} degrees" in str(refusal.value)) == (allowed > 0)


def test_a_tilt_is_measured_through_the_rounding_of_a_scanner():
    positions = np.round(np.outer(np.arange(60), [0, 1.25 * np.tan(np.radians(12)), 1.25]), 2)
    assert find_tilt(positions, np.array([0.0, 0.0, 1.0])) == pytest.approx(12, abs=0.2)
    positions[30:, 1] += 2.0  # one jump is no tilt
    assert find_tilt(positions, np.array([0.0, 0.0, 1.0])) == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize(
    ("depths", "strays"),
    [
        ([0, 2, 4, 6.3, 8, 10], 0.3),
        ([0, 2, 4, 6, 9, 12], 1.0),
        (np.cumsum(np.linspace(1.0, 1.02, 60)), 0.01),
        ([0, 2, 4, 6, 8, 8.3], 1.7),
    ],
)
def test_uneven_planes_are_accepted_up_to_what_neighbors_may_stray(depths, strays):
    affine = find_affine(planes_at(depths), max_uneven_mm=strays + 0.01)
    np.testing.assert_allclose(affine[2, 0], (depths[-1] - depths[0]) / (len(depths) - 1))
    if strays > 0.1:
        with pytest.raises(UnevenGeometry, match=f"more than {strays - 0.05:g} mm"):
            find_affine(planes_at(depths), max_uneven_mm=strays - 0.05)


def test_a_plane_shifted_within_itself_is_accepted_no_farther_than_allowed():
    slices = make_series(shape=(7, 4, 4))
    slices[3].ImagePositionPatient[0] += 0.5
    find_affine(planes_of(slices), max_uneven_mm=0.51)
    with pytest.raises(UnevenGeometry, match=r"stray by 0\.50 mm"):
        find_affine(planes_of(slices), max_uneven_mm=0.4)


def test_a_step_with_room_for_another_plane_is_refused_whatever_is_allowed():
    with pytest.raises(UnevenGeometry, match="or 2 mean steps"):
        find_affine(planes_at([0, 0.1, 0.2, 2.9, 3, 3.1, 5.8, 5.9, 6]), max_uneven_mm=100.0)


@pytest.mark.parametrize("strays", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("planes", [12, 40])
def test_a_missing_plane_is_named_among_uneven_ones(planes, strays):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        depths = 2.5 * (np.arange(planes) + rng.uniform(-strays, strays, planes))
        gap = rng.integers(1, planes - 1)
        find_affine(planes_at(depths), max_uneven_mm=2.5)
        with pytest.raises(MissingSlices, match=f"planes missing, between {depths[gap - 1]:.2f} and"):
            find_affine(planes_at(np.delete(depths, gap)), max_uneven_mm=2.5)


def test_a_missing_plane_is_told_from_neighbors_that_strayed_apart_elsewhere():
    depths = 2.5 * np.arange(40)
    depths[[10, 11]] += -0.9, 0.9
    with pytest.raises(MissingSlices, match=r"1 of 40 planes missing, between 60\.00 and 65\.00 mm"):
        find_affine(planes_at(np.delete(depths, 25)), max_uneven_mm=2.5)


def test_two_neighbors_that_strayed_apart_are_no_gap_where_uneven_planes_are_allowed():
    depths = 2.5 * np.arange(30)
    depths[14] -= 1.0
    depths[15] += 1.0
    with pytest.raises(MissingSlices):
        find_affine(planes_at(depths))
    find_affine(planes_at(depths), max_uneven_mm=2.0)


def test_a_shear_that_moves_no_voxel_is_no_tilt():
    slices = make_series(shape=(10, 4, 4), step=(0, 0.009, 2.5))  # 0.0036 mm per mm, 0.08 mm in all
    affine = find_affine(planes_of(slices))
    np.testing.assert_allclose(affine[:3, 0], [0, 0.009, 2.5], atol=1e-9)


def test_two_planes_are_no_volume():
    with pytest.raises(TooFewSlices):
        find_affine(planes_at([0, 1]))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", [0.0, 1.0]),
        ("PixelSpacing", [-1.0, 1.0]),
        ("PixelSpacing", None),
        ("ImagePositionPatient", None),
        ("ImagePositionPatient", [1.0, 2.0]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
    ],
)
def test_geometry_that_makes_no_sense_is_refused_naming_the_attribute(keyword, value):
    (ds, *_) = make_series(**{keyword: value})
    named = {"PixelSpacing": "Pixel ?Spacing", "ImageOrientationPatient": "Image Orientation"}.get(keyword, keyword)
    with pytest.raises(UnevenGeometry, match=named):
        read_plane(find_frames(ds)[0])


def test_a_spacing_that_is_not_a_number_is_refused():
    (ds, *_) = make_series()
    ds["PixelSpacing"]._value = [float("nan"), 1.0]
    with pytest.raises(UnevenGeometry, match="PixelSpacing"):
        read_plane(find_frames(ds)[0])
