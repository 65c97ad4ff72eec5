"""Pictures of results: each slice is the source frame as stored, and what was segmented lies on exactly its pixels."""

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from node.dicom.geometry import Plane
from node.web.results.picture import find_picture_size, find_scale, name_scale
from node.web.results.shelf import Shelf
from tests.node.web.results_house import SHAPE, SPACING, House, make_answer, make_ball, make_images, read_captions
from tests.results import SAGITTAL, TURNED

CORONAL = (1, 0, 0, 0, 0, -1)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(house, address) of a result on axial images, to be looked at alone."""
    house, mask = House(tmp_path_factory.mktemp("shown")), make_ball()
    job, (stack,) = house.keep(make_images(mask))
    return house, f"/results/{house.finish(job, stack, make_answer(mask))}"


def enhanced(mask):
    return [hd.legacy.LegacyConvertedEnhancedCTImage(make_images(mask), "1.2.3.9", 2, "1.2.3.9.1", 1)]


def reversed_numbers(mask):
    slices = make_images(mask)
    for n, ds in enumerate(slices):
        ds.InstanceNumber = len(slices) - n
    return slices


SOURCES = {
    "axial": make_images,
    "coronal": lambda mask: make_images(mask, orientation=CORONAL),
    "sagittal": lambda mask: make_images(mask, orientation=SAGITTAL),
    "oblique": lambda mask: make_images(mask, orientation=TURNED),
    "feet first": lambda mask: make_images(mask, orientation=(-1, 0, 0, 0, 1, 0)),
    "numbered backwards": reversed_numbers,
    "enhanced multi-frame": enhanced,
    "inverted MR": lambda mask: make_images(mask, modality="MR", PhotometricInterpretation="MONOCHROME1"),
}


def find_center(shown, shape):
    """(row, column) in pixels of the source of what is True in a picture."""
    rows, columns = np.nonzero(shown)
    height, width = shown.shape
    return (rows.mean() + 0.5) * shape[0] / height - 0.5, (columns.mean() + 0.5) * shape[1] / width - 0.5


def find_ball(picture, near):
    """What has the gray of the pixels `near`, without what is written at the edges."""
    gray, shown = picture[..., 0], np.zeros_like(near)
    shown[40:-40, 40:-100] = True
    middle = (gray[near].mean() + np.median(gray)) / 2
    return shown & ((gray > middle) == (gray[near].mean() > middle))


def read_masks(outbox):
    """(source uid, frame) -> pixels, by pydicom alone."""
    path = next(path for path in outbox.rglob("*.dcm") if dcmread(path, specific_tags=["Modality"]).Modality == "SEG")
    seg, masks = dcmread(path), {}
    for group, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        masks[source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber", 1)] = pixels > 0
    return masks


LABELMAPS = ("oblique", "numbered backwards", "enhanced multi-frame")


@pytest.mark.parametrize(
    ("name", "form"), [*((name, "binary") for name in SOURCES), *((name, "labelmap") for name in LABELMAPS)]
)
def test_the_overlay_lies_where_the_segmentation_says_in_its_source_frame(tmp_path, name, form):
    house, mask = House(tmp_path), make_ball()
    slices = SOURCES[name](mask)
    job, (stack,) = house.keep(slices)
    placed = mask if np.allclose(stack.positions[0], _first_position(slices)) else mask[::-1]
    url = f"/results/{house.finish(job, stack, make_answer(placed), form)}"
    captions = read_captions(house.get(url).text)
    masks, seen = read_masks(house.settings.outbox), 0
    assert len(captions) == SHAPE[0]
    for k in range(1, len(captions) + 1):
        plain = house.picture(f"{url}/slice/{k}.png?overlay=off")
        drawn = house.picture(f"{url}/slice/{k}.png?overlay=on&opacity=100")
        colored = (drawn != plain).any(axis=2)
        source = _find_source(slices, captions[k - 1])
        assert colored.any() == (source in masks)
        assert ("nothing marked" in captions[k - 1]) == (source not in masks)
        if source in masks:
            seen += 1
            expected = find_center(masks[source], SHAPE[1:])
            assert find_center(colored, SHAPE[1:]) == pytest.approx(expected, abs=0.5)
            assert (drawn[colored] == [255, 0, 0]).all(axis=1).mean() > 0.95
            assert find_center(find_ball(plain, colored), SHAPE[1:]) == pytest.approx(expected, abs=0.6)
    assert seen == len(masks)


@pytest.mark.parametrize(
    ("orientation", "sides"),
    [
        ((1, 0, 0, 0, 1, 0), ("right", "left", "anterior", "posterior")),
        (CORONAL, ("right", "left", "head", "foot")),
        (SAGITTAL, ("anterior", "posterior", "head", "foot")),
        ((-1, 0, 0, 0, 1, 0), ("left", "right", "anterior", "posterior")),
        ((0.8, 0.6, 0, -0.6, 0.8, 0), ("right anterior", "left posterior", "anterior left", "posterior right")),
    ],
)
def test_the_edges_are_named_by_where_the_patient_lies(tmp_path, orientation, sides):
    house, mask = House(tmp_path), make_ball()
    job, (stack,) = house.keep(make_images(mask, orientation=orientation))
    page = house.get(f"/results/{house.finish(job, stack, make_answer(mask))}").text
    left, right, top, bottom = sides
    words = f"left edge {left}, right edge {right}, top {top}, bottom {bottom}; scale bar 1 cm"
    assert all(words in caption for caption in read_captions(page))


def test_a_picture_keeps_true_proportions_and_one_pixel_for_one_where_it_can():
    def size(shape, spacing):
        return find_picture_size(Plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], spacing, shape))

    assert size((512, 512), (0.7, 0.7)) == (512, 512)
    assert size((768, 600), (0.5, 0.5)) == (768, 600)
    assert size((100, 50), (1.0, 2.0)) == (512, 512)
    assert size((3000, 1500), (0.1, 0.1)) == (1024, 512)


@pytest.mark.parametrize(("columns", "said"), [(512, "10 cm"), (100, "2 cm"), (20, "5 mm"), (4, "1 mm")])
def test_the_scale_is_a_round_length_that_fits(columns, said):
    plane = Plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1], (0.8, 0.8), (10, columns))
    assert name_scale(find_scale(plane)) == said
    assert find_scale(plane) <= max(columns * 0.8 / 3, 1)


def test_the_scale_bar_is_as_long_as_it_says(shown):
    house, url = shown
    picture = house.picture(f"{url}/slice/1.png?overlay=off&window=lung")
    row = picture[picture.shape[0] - 10, :, 0] > 200
    mm = SHAPE[2] * SPACING[2] / picture.shape[1]
    assert np.count_nonzero(row[picture.shape[1] // 2 :]) * mm == pytest.approx(10.0, abs=0.5)


def test_a_window_makes_its_limits_black_and_white(shown):
    (house, url), mask = shown, make_ball()  # air is -1000 HU, the ball 100 HU
    where = np.array(find_center(mask[4], SHAPE[1:])) / SHAPE[1:]
    for window, low, high in (("lung", -1350, 150), ("soft", -160, 240), ("bone", -770, 1730), ("50,300", -100, 200)):
        picture = house.picture(f"{url}/slice/5.png?overlay=off&window={window}")
        row, column = (where * picture.shape[:2]).astype(int)
        expected = np.clip((np.array([100, -1000]) - low) / (high - low) * 255, 0, 255)
        assert [picture[row, column, 0], picture[100, 100, 0]] == pytest.approx(expected, abs=2), window


def test_magnetic_resonance_has_one_window_by_itself(tmp_path):
    house, mask = House(tmp_path), make_ball()
    job, (stack,) = house.keep(make_images(mask, modality="MR"))
    url = f"/results/{house.finish(job, stack, make_answer(mask))}"
    page = house.get(url).text
    assert 'value="auto"' in page
    assert 'value="lung"' not in page
    assert house.get(f"{url}/slice/1.png?window=lung").status_code == 400
    assert house.picture(f"{url}/slice/5.png?overlay=off").max() > 200


@pytest.mark.parametrize(
    "query", ["window=x", "window=1,0", "window=nan,1", "overlay=maybe", "opacity=101", "opacity=-1", "opacity=x"]
)
def test_what_no_picture_has_is_refused_by_name(shown, query):
    house, url = shown
    answer = house.get(f"{url}/slice/1.png?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["detail"]
    for k in (0, SHAPE[0] + 1, 10**9):
        assert house.get(f"{url}/slice/{k}.png").status_code == 404


def test_a_browser_that_has_the_picture_is_not_sent_it_again(shown):
    house, url = shown
    for path in (f"{url}/slice/3.png", f"{url}/montage.png"):
        first = house.get(path)
        assert first.headers["Cache-Control"].startswith("private")
        again = house.get(path, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.content) == (304, b"")
        assert house.get(path + "?overlay=off&window=bone").headers["ETag"] != first.headers["ETag"]
    assert house.get(f"{url}/slice/4.png").headers["ETag"] != house.get(f"{url}/slice/3.png").headers["ETag"]


def test_a_shelf_holds_no_more_than_it_may_and_keeps_what_was_used_last():
    shelf, made = Shelf(100), []

    def get(key, weight=40):
        return shelf.get(key, lambda: made.append(key) or key, lambda _: weight)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert get(key) == key
        assert shelf.held <= 100
    assert made == ["a", "b", "c", "b"]
    assert get("large", 101) == "large"
    assert shelf.held == 0


def _first_position(slices):
    first = slices[0]
    if "SharedFunctionalGroupsSequence" in first:
        first = first.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    return [float(v) for v in first.ImagePositionPatient]


def _find_source(slices, caption):
    """(uid, frame) of what a caption names."""
    kind, number = caption.split("(")[1].split(")")[0].split()
    if kind == "frame":
        return slices[0].SOPInstanceUID, int(number)
    return next((ds.SOPInstanceUID, 1) for ds in slices if ds.InstanceNumber == int(number))
