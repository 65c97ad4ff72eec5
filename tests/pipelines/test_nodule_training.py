"""How the nodule networks are trained and judged: cut-outs in, patients kept together, figures out."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from pipelines.evaluation.nodule_malignancy import calibrate, get_brier, get_calibration_error
from pipelines.evaluation.planting import plant
from pipelines.steps.grow import grow
from pipelines.training.lidc import SHEET, Voi, read_vois
from pipelines.training.nodule_cases import VIEWS, look_at_voi
from pipelines.training.nodule_folds import LIDC, Pictures, assign_folds
from pipelines.training.three_planes import score, train
from tests.pipelines.lumps import make_lung

pytestmark = pytest.mark.usefixtures("one_thread")


def make_voi(radius=5.0, beside=True):
    """A cut-out that ends above and below where its ball does, with a smaller ball beside it."""
    balls = [((22, 40, 40), radius, 20.0), *([((22, 40, 52), 2.4, 0.0)] if beside else [])]
    volume, _ = make_lung(balls)
    reach = int(radius / 2.0)
    part = (slice(22 - reach, 23 + reach), slice(22, 59), slice(22, 59))
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    mask = np.linalg.norm((index - (22, 40, 40)) * volume.spacing, axis=-1) <= radius
    return Voi("p_R_1", "p", volume.voxels[part], mask[part], volume.spacing, 4, 5, 2 * radius)


def write_sheet(path, rows):
    words = sorted({cell for row in rows for cell in row})
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    cells = ""
    for row in rows:
        cells += "<row>" + "".join(f'<c t="s"><v>{words.index(cell)}</v></c>' for cell in row) + "</row>"
    shared = "".join(f"<si><t>{word}</t></si>" for word in words)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{cells}</sheetData></worksheet>")


def test_cut_outs_are_read_with_their_ratings_and_in_our_order_of_axes(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    head = ["patient_id", "nodule_id", "diameter_mm", "Malignancy_value", "Texture_value"]
    write_sheet(tmp_path / SHEET, [head, ["A", "1", "7.5", "4", "5"], ["B", "2", "9", "2", "3"]])
    for kind, kept in (("image", np.int16), ("nodule_mask", np.uint8)):
        (tmp_path / "VOIs" / kind).mkdir(parents=True)
        voxels = np.zeros((6, 5, 4), kept)
        voxels[1, 2, 3] = 1
        image = nibabel.Nifti1Image(voxels, np.diag([0.7, 0.8, 2.5, 1]))
        nibabel.save(image, tmp_path / "VOIs" / kind / "A_R_1.nii.gz")
    (voi,) = read_vois(tmp_path)
    assert voi.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert voi.mask[3, 2, 1]
    assert voi.voxels.shape == (4, 5, 6)
    assert (voi.patient, voi.malignancy, voi.texture, voi.diameter_mm) == ("A", 4, 5, 7.5)


def test_a_cut_out_gives_its_nodule_and_what_lies_beside_it():
    nodule, beside = look_at_voi(make_voi(), np.random.default_rng(0))
    assert (nodule.nodule, beside.nodule) == (1, 0)
    assert nodule.dice > 0.85
    assert nodule.views.shape == (VIEWS + 1, 3, 32, 32)
    assert (nodule.malignancy, beside.malignancy) == (4, 0)
    assert (nodule.reference_mm, beside.reference_mm) == (10.0, 0.0)


def test_the_first_view_is_what_the_pipeline_sees_and_the_others_differ():
    (one,) = look_at_voi(make_voi(beside=False), np.random.default_rng(0))
    (other,) = look_at_voi(make_voi(beside=False), np.random.default_rng(1))
    assert np.array_equal(one.views[0], other.views[0])
    assert not np.array_equal(one.views[1], other.views[1])


def make_pictures(patients, sources):
    count = len(patients)
    zeros = np.zeros(count, np.int64)
    views = np.zeros((count, 2, 3, 32, 32), np.uint8)
    return Pictures(views, np.array(sources), np.array(patients), zeros, zeros, zeros, np.ones(count), np.ones(count))


def test_no_patient_is_in_two_folds_and_every_fold_has_a_scan():
    patients = [f"P{n % 40}" for n in range(200)] + ["scan-a", "scan-a", "scan-b", "scan-c"]
    pictures = make_pictures(patients, [LIDC] * 200 + ["a1", "a2", "b", "c"])
    folds = assign_folds(pictures, 3)
    for patient in set(patients):
        assert len(set(folds[pictures.patient == patient])) == 1
    assert set(folds[-4:]) == {0, 1, 2}
    assert len(set(folds[:200])) == 3
    assert len(pictures.pick(folds == 0).patient) == np.count_nonzero(folds == 0)


def make_toy(count=48):
    """Pictures of a bright disc (1) or of nothing (0), with noise."""
    random = np.random.default_rng(0)
    answers = np.arange(count) % 2
    views = random.integers(20, 60, (count, 2, 3, 32, 32)).astype(np.uint8)
    views[answers == 1, :, :, 12:20, 12:20] += 150
    return views, answers


def test_training_learns_and_the_same_seed_gives_the_same_network():
    views, answers = make_toy()
    one, other = (score(train(views, answers, 6, seed=1, width=4), views) for _ in range(2))
    assert np.array_equal(one, other)
    assert one[answers == 1].min() > one[answers == 0].max()


def test_a_planted_nodule_lies_where_its_target_says_and_the_rest_is_as_it_was():
    volume, lungs = make_lung()
    voi = replace(make_voi(beside=False), diameter_mm=10.0)
    planted, (target,) = plant(volume, lungs, [voi], np.random.default_rng(0))
    changed = np.argwhere(planted.voxels != volume.voxels)
    middle = (np.array(target.low) + target.high) / 2
    places = (volume.affine @ np.c_[changed, np.ones(len(changed))].T)[:3].T
    assert np.linalg.norm(places - middle, axis=1).max() < 5.0 + 2.0 + 2.5
    grown = grow(planted.voxels, planted.spacing, tuple(np.linalg.solve(volume.affine, [*middle, 1])[:3]))
    assert grown.diameter_mm == pytest.approx(10.0, abs=1.5)


def test_a_real_nodule_planted_in_a_lung_is_found(real_data):
    from safetensors.torch import load_file

    from pipelines.lung_nodule.pipeline import HOME, make_model
    from tests.pipelines.lumps import Lungs

    volume, lungs = make_lung()
    vois = (voi for voi in read_vois(real_data / "lidc_nodule_voi") if 8 < voi.diameter_mm < 12 and voi.texture == 5)
    planted, (target,) = plant(volume, lungs, [next(vois)], np.random.default_rng(0))
    result = make_model(load_file(HOME / "weights.safetensors"), Lungs(lungs)).run(planted, lambda *_: None)
    places = [tuple((volume.affine @ [*np.argwhere(segment.mask).mean(axis=0), 1])[:3]) for segment in result.segments]
    assert any(target.holds(place) for place in places)


def test_brier_and_calibration_error_are_what_they_are_called():
    pairs = [(0.9, True), (0.9, True), (0.9, True), (0.9, False), (0.1, False)]
    assert get_brier(pairs) == pytest.approx((3 * 0.01 + 0.81 + 0.01) / 5)
    assert get_calibration_error(pairs) == pytest.approx((abs(3.6 - 3) + 0.1) / 5)
    assert get_calibration_error([(1.0, True), (0.0, False)]) == 0.0


def test_a_calibration_is_never_judged_on_what_it_was_fitted_to():
    numbers = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    folds = np.array([0, 0, 1, 1])
    chances = calibrate(numbers, np.array([False, True, True, False]), folds)
    assert (chances[:2] > 0.5).tolist() == [True, False]
    assert (chances[2:] > 0.5).tolist() == [False, True]
