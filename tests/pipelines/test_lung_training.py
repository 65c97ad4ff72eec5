import numpy as np
import torch
from torch import Generator

from pipelines.evaluation.dice import get_dice
from pipelines.evaluation.lung_views import make_views
from pipelines.lung_seg.network import PATCH, make_network, to_input
from pipelines.steps.resample import Grid
from pipelines.training.lung_augment import Dice, Subject, make_patch, trim
from pipelines.training.lung_cases import Case, load_cases
from pipelines.training.lung_labels import label_lungs
from pipelines.training.lung_seg import train
from tests.pipelines.chest import make_chest


def make_cache(folder):
    volume, *_ = make_chest((6.0, 3.0, 3.0), extent=(60.0, 270.0, 390.0))
    np.savez(folder / "made-1.npz", voxels=volume.voxels.astype(np.int16), affine=volume.affine, patient="made")
    return folder


def test_labels_find_the_lungs_and_leave_out_the_trachea():
    volume, right, left = make_chest((4.0, 4.0, 4.0))
    lungs = label_lungs(volume.voxels, 4.0)
    assert get_dice(lungs, right | left) > 0.95
    trachea = (volume.voxels < -950) & ~(right | left)
    trachea[:, :, :40] = trachea[:, :, -40:] = trachea[:, :25] = trachea[:, -25:] = False
    assert lungs[trachea].mean() < 0.05


def test_a_patch_is_the_same_for_the_same_seed_and_never_empty():
    volume, right, left = make_chest((4.0, 4.0, 4.0))
    body = torch.from_numpy(volume.voxels > -300)
    subject = Subject(torch.from_numpy(volume.voxels), torch.from_numpy(right | left), body, 4.0)
    for seed in range(5):
        (hu, lungs), again = (make_patch(subject, Dice(Generator().manual_seed(seed))) for _ in range(2))
        assert hu.shape == lungs.shape == PATCH
        assert torch.equal(hu.nan_to_num(5), again[0].nan_to_num(5))
        assert not hu.isnan().all()
        assert not (lungs & hu.isnan()).any()
        small, _ = trim(hu, lungs)
        assert (~small.isnan()).sum() == (~hu.isnan()).sum()
        assert all(n % 8 == 0 for n in small.shape)


def test_the_input_says_what_is_unknown():
    shown = to_input(torch.tensor([-3024.0, torch.nan, -1024.0, 400.0, 3000.0]).reshape(1, 1, 5))
    assert shown[1].flatten().tolist() == [0, 0, 1, 1, 1]
    assert shown[0].flatten().tolist() == [0, 0, -1, 1, 1]


def test_training_repeats_itself_for_the_same_seed():
    volume, right, left = make_chest((4.0, 4.0, 4.0))
    lungs, body = right | left, volume.voxels > -300
    grid = Grid(volume.shape, volume.affine)
    case = Case("made-1", "made", volume.voxels.astype(np.int16), volume.affine, grid, volume.voxels, lungs, body)
    first, second = (train([case], steps=2, seed=3).state_dict() for _ in range(2))
    start = make_network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in start)
    assert any(not torch.equal(first[name], start[name]) for name in start)


def test_labels_are_kept_beside_the_scan(tmp_path):
    (case,) = load_cases(make_cache(tmp_path))
    assert (tmp_path / "made-1.labels").is_file()
    (again,) = load_cases(tmp_path)
    assert (again.lungs == case.lungs).all()
    assert again.patient == "made"


def test_views_keep_image_and_truth_together():
    volume, right, left = make_chest((6.0, 3.0, 3.0))
    names = []
    for name, view, truth in make_views(volume, right | left):
        names.append(name)
        assert view.shape == truth.shape
        if truth.any():
            assert view.voxels[truth].mean() < -700
            assert (view.affine[:3, 3] >= volume.affine[:3, 3] - 1e-6).all()
    assert len(set(names)) == len(names) > 10
