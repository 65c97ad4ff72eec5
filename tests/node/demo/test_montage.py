"""A montage shows a segmentation where it lies, whatever the orientation of the images."""

from datetime import UTC, datetime

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.sr.codedict import codes
from scipy import ndimage

from node.demo.montage import CUT, HEADER, LEGEND_STEP, TILE, find_turn, montage
from node.demo.series import Picture, write_series
from node.dicom.sheet import choose_planes

WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
COLORS = ((250, 60, 40), (40, 90, 250))
ORIENTATIONS = {
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "axial from the head": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
}
"""Directions (LPS) of rows, columns and planes."""


def make_study(folder, orientation="axial", modality="CT"):
    """A cube of 32 mm in air, 64 mm wide; paths and the place of each voxel (k, j, i, xyz) in mm, 0 in the middle."""
    row, column, plane = (np.array(axis, float) for axis in ORIENTATIONS[orientation])
    affine = np.eye(4)
    affine[:3, :3] = np.stack([plane * 2, column, row], axis=1)
    shape = (32, 64, 64)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    place = np.moveaxis(np.tensordot(affine[:3, :3], np.indices(shape), 1), 0, -1) + affine[:3, 3]
    voxels = np.where((np.abs(place) < 28).all(axis=-1), 40, -1000 if modality == "CT" else 0).astype(np.int16)
    return write_series(Picture(voxels, affine, modality, "Cube", "CHEST", "cube"), folder, orientation, WHEN), place


def make_seg(path, images, masks, kind=hd.seg.SegmentationTypeValues.BINARY):
    """A Segmentation by highdicom, which shares nothing with ours. masks: bool (k, j, i) in the order of `images`."""
    algorithm = hd.AlgorithmIdentificationSequence("test", codes.DCM.ArtificialIntelligence, "1")
    descriptions = [
        hd.seg.SegmentDescription(
            n + 1, f"part {n + 1}", codes.SCT.Organ, codes.SCT.Lung, "AUTOMATIC", algorithm,
            display_color=hd.color.CIELabColor.from_rgb(*COLORS[n % 2]),
        )
        for n in range(len(masks))
    ]  # fmt: skip
    pixels = np.stack(masks, axis=-1)
    pixels = pixels.astype(np.float32 if kind is hd.seg.SegmentationTypeValues.FRACTIONAL else np.uint8)
    seg = hd.seg.Segmentation(
        [dcmread(image) for image in images], pixels, kind, descriptions,
        hd.UID(), 99, hd.UID(), 1, "Testmaker", "test", "1", "1",
    )  # fmt: skip
    seg.save_as(path)
    return path


def is_colored(page, color, spread=25):
    return (np.abs(page.astype(int) - color) <= spread).all(axis=2)


@pytest.fixture
def ball():
    """A function: the mask of the ball about `center` with `radius` in mm, over the places of voxels."""

    def make(place, center, radius):
        return np.linalg.norm(place - np.array(center, float), axis=-1) < radius

    return make


def test_a_long_legend_is_on_the_page_whole(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    balls = [ball(place, (0, 0, n - 10), 3) for n in range(20)]
    short = make_seg(tmp_path / "short.dcm", paths, [np.logical_or.reduce(balls)])
    long = make_seg(tmp_path / "long.dcm", paths, balls)
    pages = [np.asarray(Image.open(montage(seg, paths, tmp_path / "out.png", "test"))) for seg in (short, long)]
    assert pages[1].shape[0] - pages[0].shape[0] == 7 * LEGEND_STEP
    legend = pages[1][-7 * LEGEND_STEP - 40 :]
    assert sum(ndimage.label(is_colored(legend, color))[1] for color in COLORS) == 20


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_segment_in_the_patients_right_front_top_is_drawn_there(tmp_path, ball, orientation):
    paths, place = make_study(tmp_path / "ct", orientation)
    seg = make_seg(tmp_path / "seg.dcm", paths, [ball(place, (-14, -12, 10), 13)])
    page = np.asarray(Image.open(montage(seg, paths, tmp_path / "out.png", "test")))
    drawn = is_colored(page, COLORS[0])
    scale = TILE / 64
    tile = drawn[HEADER + TILE : HEADER + 2 * TILE, :TILE]  # the fifth, near the middle of the ball
    rows, columns = np.nonzero(tile)
    assert columns.mean() == pytest.approx((32 - 14) * scale, abs=4)
    assert rows.mean() == pytest.approx((32 - 12) * scale, abs=4)
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), abs=2 * scale)
    radii = np.hypot(columns - (32 - 14) * scale, rows - (32 - 12) * scale)
    assert radii.max() < (13 + 1) * scale
    assert radii.min() > (11.5 - 1) * scale  # an outline, not a disk
    cut = drawn[HEADER + 3 * TILE : HEADER + 3 * TILE + CUT]
    for left, along in ((0, -14), (CUT, -12)):  # coronal: to the right; sagittal: to the front
        rows, columns = np.nonzero(cut[:, left : left + CUT])
        assert columns.mean() == pytest.approx((32 + along) * CUT / 64, abs=6)
        assert rows.mean() == pytest.approx((32 - 10) * CUT / 64, abs=6)


def test_outlines_lie_on_the_edge_of_the_mask_to_the_voxel(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    mask = ball(place, (6, -4, 2), 15)
    seg = make_seg(tmp_path / "seg.dcm", paths, [mask])
    page = np.asarray(Image.open(montage(seg, paths, tmp_path / "out.png", "test")))
    planes = choose_planes(mask[::-1], 0, 12)
    for n, k in enumerate(planes):
        row, column = HEADER + n // 4 * TILE, n % 4 * TILE
        drawn = is_colored(page[row : row + TILE, column : column + TILE], COLORS[0], 2)
        touched = drawn.reshape(64, 4, 64, 4).any(axis=(1, 3))
        shown = mask[::-1][k]
        inner = shown.copy()
        inner[1:-1, 1:-1] &= shown[:-2, 1:-1] & shown[2:, 1:-1] & shown[1:-1, :-2] & shown[1:-1, 2:]
        np.testing.assert_array_equal(touched, shown & ~inner)


def test_each_segment_has_its_own_color_and_a_line_in_the_legend(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    masks = [ball(place, (-14, 0, 0), 13), ball(place, (14, 0, 0), 13)]
    seg = make_seg(tmp_path / "seg.dcm", paths, masks)
    page = np.asarray(Image.open(montage(seg, paths, tmp_path / "out.png", "test")))
    legend = page[HEADER + 3 * TILE :, 2 * CUT :]
    for color in COLORS:
        assert is_colored(page[:, : TILE * 4], color).sum() > 100
        assert is_colored(legend, color, 4).sum() >= 200


def test_thick_planes_are_not_squashed(tmp_path, ball):
    paths, place = make_study(tmp_path / "mr", "coronal", "MR")  # 2 mm planes, 1 mm pixels
    seg = make_seg(tmp_path / "seg.dcm", paths, [ball(place, (0, 0, 0), 12)])
    page = np.asarray(Image.open(montage(seg, paths, tmp_path / "out.png", "test")))
    tile = is_colored(page[HEADER + TILE : HEADER + 2 * TILE, TILE : 2 * TILE], COLORS[0])
    rows, columns = np.nonzero(tile)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=10)


def test_images_in_any_order_give_the_same_picture(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    seg = make_seg(tmp_path / "seg.dcm", paths, [ball(place, (5, 5, 5), 10)])
    pages = [montage(seg, some, tmp_path / f"{n}.png", "t").read_bytes() for n, some in enumerate((paths, paths[::-1]))]
    assert pages[0] == pages[1]


def test_images_of_another_study_are_refused(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    others, _ = make_study(tmp_path / "others", "prone")
    seg = make_seg(tmp_path / "seg.dcm", paths, [ball(place, (5, 5, 5), 10)])
    with pytest.raises(ValueError, match="none of the images"):
        montage(seg, others, tmp_path / "out.png", "t")
    assert not (tmp_path / "out.png").exists()


def test_an_image_that_is_missing_is_told_instead_of_drawn_elsewhere(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    seg = make_seg(tmp_path / "seg.dcm", paths, [ball(place, (0, 0, -14), 12)])
    with pytest.raises(ValueError, match="not given"):
        montage(seg, paths[12:], tmp_path / "out.png", "t")


def test_a_fractional_segmentation_is_refused(tmp_path, ball):
    paths, place = make_study(tmp_path / "ct")
    mask = ball(place, (0, 0, 0), 12)
    seg = make_seg(tmp_path / "seg.dcm", paths, [mask], hd.seg.SegmentationTypeValues.FRACTIONAL)
    with pytest.raises(ValueError, match="FRACTIONAL"):
        montage(seg, paths, tmp_path / "out.png", "t")


def test_planes_spread_over_the_segment_alone():
    mask = np.zeros((100, 4, 4), dtype=bool)
    mask[30:60] = True
    planes = choose_planes(mask, 0, 12)
    assert len(planes) == 12
    assert (planes[0], planes[-1]) == (31, 58)
    assert choose_planes(mask[30:33], 0, 12) == [0, 1, 2]


def test_an_oblique_volume_is_shown_along_its_nearest_axes():
    angle = np.deg2rad(25)
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.eye(3))
    turned = affine.copy()
    turned[1:3, :3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]] @ affine[1:3, :3]
    assert find_turn(turned) == find_turn(affine) == ((0, 1, 2), (0,))
