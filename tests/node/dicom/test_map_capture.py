"""The picture of a map is warm where the map is high, and says what it shows and that it is not for diagnosis."""

import numpy as np
import pytest

from node.dicom.capture import MOST_TILES
from node.dicom.lettering import Lettering
from node.dicom.map_capture import MOST_MAPS, choose_map_planes, draw_map, encode_map_captures, to_shares
from node.dicom.overlay import heat
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Code, Result, ScalarMap, Volume
from tests.judges import dciodvfy_errors
from tests.results import CORPUS, make_author, make_empty_result, make_stack
from tests.series import make_series

PLAIN = Lettering(())
SALIENCY = Code("130404", "DCM", "Saliency")


def make_volume(stack):
    voxels = np.random.default_rng(1).normal(40, 60, stack.shape).astype(np.float32)
    return Volume(voxels, stack.affine, stack.frame_of_reference_uid, stack.modality)


def make_map(shape, key="saliency"):
    values = np.zeros(shape, np.float32)
    values[shape[0] // 2, : shape[1] // 2, : shape[2] // 3] = 1.0
    return ScalarMap(key, "Saliency (occlusion)", values, SALIENCY, Code("1", "UCUM", "no units"))


def wrap(values, **changes):
    return ScalarMap("saliency", "Saliency", values, SALIENCY, Code("1", "UCUM", "no units"), **changes)


def encode(stack, *maps):
    empty = make_empty_result()
    result = Result(empty.segments, empty.findings, maps=maps)
    return encode_map_captures(stack, make_volume(stack), result, make_author(), lettering=PLAIN)


@pytest.mark.judge
@pytest.mark.parametrize("name", ["plain", "oblique", "sagittal", "MR", "few pixels"])
def test_dciodvfy_finds_no_error(name, tmp_path):
    stack = CORPUS[name]()
    (ds,) = encode(stack, make_map(stack.shape))
    write_dicom(ds, tmp_path / "sc.dcm")
    assert dciodvfy_errors(tmp_path / "sc.dcm") == []


def test_a_picture_is_warm_where_the_map_is_high():
    stack = make_stack(make_series())
    scalars = make_map(stack.shape)
    page = draw_map(
        stack, make_volume(stack), scalars, make_empty_result(), make_author(), PLAIN, [stack.shape[0] // 2]
    )
    warm = page[..., 0].astype(int) - page[..., 2] > 60
    tile = warm[100:1300]
    assert tile[:, : page.shape[1] // 3 - 40].mean() > 0.2
    assert tile[:, page.shape[1] // 3 + 60 :].mean() < 0.02


def test_where_there_is_no_value_is_another_color_than_the_lowest_value():
    """Left of the middle 0, right of it nothing: the lowest value is clear, no value is not."""
    stack = make_stack(make_series((5, 40, 40)))
    values = np.zeros(stack.shape, np.float32)
    values[2, 10:20, 5:10] = 8.0
    values[:, :, 20:] = -1.0
    pages = [
        draw_map(stack, make_volume(stack), scalars, make_empty_result(), make_author(), PLAIN, [2])[100:600]
        for scalars in (wrap(values, nothing=-1.0), wrap(np.maximum(values, 0)))
    ]
    change = np.abs(pages[0].astype(int) - pages[1]).max(axis=2) > 15
    rows, columns = np.nonzero(change)
    assert change[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.9
    assert columns.min() == pytest.approx(change.shape[1] / 4, abs=20)  # a sheet of one plane fills its left half
    assert columns.max() == pytest.approx(change.shape[1] / 4 * (1 + 0.7 / 0.8), abs=20)
    warmer = pages[0].astype(int) - pages[1]
    assert (warmer[..., 2] - warmer[..., 0])[change].mean() > 15


def test_heat_is_clear_at_nothing_and_yellow_at_the_most():
    gray = np.full((4, 6, 3), 100, np.uint8)
    shares = np.zeros((4, 6), np.float32)
    assert np.array_equal(heat(gray, shares), gray)
    red, green, blue = heat(gray, shares + 1)[2, 3].astype(int)
    assert red > green > blue
    assert red > 190


def test_it_shows_the_planes_on_which_the_map_is_high():
    values = np.zeros((200, 4, 4), np.float32)
    values[50:60, 1, 1] = 1.0
    planes = choose_map_planes(wrap(values))
    assert set(planes) <= set(range(50, 60))
    assert len(choose_map_planes(wrap(np.zeros((200, 4, 4), np.float32)))) == MOST_TILES


def test_shares_run_from_the_lowest_to_the_highest_and_an_even_map_has_none():
    assert to_shares(np.array([2.0, 3.0, 4.0], np.float32), 2, 4).tolist() == [0.0, 0.5, 1.0]
    assert to_shares(np.full(3, 0.0, np.float32), 0, 0).tolist() == [0.0, 0.0, 0.0]


def test_each_of_the_first_maps_has_its_own_object_and_series():
    stack = make_stack(make_series())
    made = encode(stack, *(make_map(stack.shape, f"map-{n}") for n in range(MOST_MAPS + 3)))
    assert len(made) == len({ds.SeriesInstanceUID for ds in made}) == len({ds.SOPInstanceUID for ds in made}) == 8
    assert made[0].SeriesDescription == "AI, not reviewed: Saliency (occlusion), picture"
    assert made[0].ImageComments.startswith("AI result, not for diagnosis")
    assert encode(stack) == []


def test_a_map_beside_the_stack_is_refused():
    stack = make_stack(make_series())
    with pytest.raises(EncodingError, match="'saliency' or its volume has shape"):
        encode(stack, make_map((1, 2, 3)))
