"""Augmentation is undone exactly, and the spread of answers is that of numpy; attention is shown where there is any."""

import numpy as np
import pytest
import torch
from monai.networks.nets import AttentionUnet, UNet, ViT

from pipelines.explanation.attention import has_attention, view_attention
from pipelines.explanation.augment import Change, answer_changed, make_changes
from pipelines.explanation.spread import ask_ensemble, find_spread

CHANGES = make_changes((0, 2), [(0, 0, 0), (1, 2, 0), (3, 0, 1)])


def make_image(shape=(6, 7, 8)):
    return torch.from_numpy(np.random.default_rng(2).uniform(0, 1, shape).astype(np.float32))


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_moves_and_mirrors_and_is_undone_but_for_what_left(change):
    image = make_image()
    changed = change.apply(image)
    assert changed.shape == image.shape
    if any(change.shift) or change.flip:
        assert not torch.equal(changed, image)
    back = change.undo(changed)
    kept = tuple(slice(0, n - s) for n, s in zip(image.shape, change.shift, strict=True))
    mirrored = image.flip(change.flip) if change.flip else image
    back_mirrored = back.flip(change.flip) if change.flip else back
    assert torch.equal(back_mirrored[kept], mirrored[kept])


def test_a_shift_goes_towards_higher_indices_and_repeats_the_edge():
    moved = Change((0, 2)).apply(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert moved.tolist() == [[1.0, 1.0, 1.0, 2.0]]


def test_an_answer_that_does_not_care_is_the_same_after_every_change():
    image = make_image()
    answers = list(answer_changed(lambda one: one * 2, image, CHANGES))
    assert len(answers) == len(CHANGES) == 9
    assert all(torch.equal(answer, image * 2) for answer in answers)


def test_an_answer_that_depends_on_the_place_is_not():
    image = make_image()
    ramp = lambda one: one * 0 + torch.arange(one.shape[2], dtype=torch.float32)  # noqa: E731
    spread = find_spread(answer / 20 for answer in answer_changed(ramp, image, CHANGES))
    assert float(spread.deviation.max()) > 0.05


def test_spread_is_mean_and_deviation_and_the_entropy_of_the_mean():
    answers = np.random.default_rng(1).uniform(0, 1, (7, 3, 4)).astype(np.float32)
    spread = find_spread(torch.from_numpy(one) for one in answers)
    assert spread.count == 7
    np.testing.assert_allclose(spread.mean, answers.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread.deviation, answers.std(axis=0), rtol=1e-5)
    p = answers.mean(axis=0)
    np.testing.assert_allclose(spread.entropy, -(p * np.log2(p) + (1 - p) * np.log2(1 - p)), rtol=1e-5)


def test_entropy_is_a_bit_where_answers_contradict_and_none_where_all_are_sure():
    one, none = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    spread = find_spread([one, none])
    assert spread.entropy.tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert spread.deviation.tolist() == pytest.approx([0.5, 0.0, 0.0])


@pytest.mark.parametrize("answers", [[], [torch.zeros(2)]])
def test_fewer_than_two_answers_have_no_spread(answers):
    with pytest.raises(ValueError, match="two at least"):
        find_spread(answers)


def test_an_ensemble_spreads_by_its_weights_alone():
    image = torch.randn((1, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    networks = [make_unet(seed) for seed in (1, 2, 3)]
    same = find_spread(torch.sigmoid(one) for one in ask_ensemble([networks[0]] * 3, image))
    apart = find_spread(torch.sigmoid(one) for one in ask_ensemble(networks, image))
    assert float(same.deviation.max()) < 1e-6
    assert float(apart.deviation.max()) > 0.02


def make_unet(seed):
    torch.manual_seed(seed)
    return UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=(4, 8), strides=(2,)).eval()


def test_gates_are_shown_on_the_image_s_grid():
    torch.manual_seed(1)
    network = AttentionUnet(spatial_dims=2, in_channels=1, out_channels=1, channels=(4, 8, 8), strides=(2, 2)).eval()
    found = view_attention(network, torch.randn(1, 1, 32, 40))
    assert found.shape == (32, 40)
    assert 0 < float(found.min()) <= float(found.max()) < 1
    assert not any(one._forward_hooks for one in network.modules())


@pytest.mark.parametrize("classification", [True, False])
def test_what_a_transformer_s_patches_receive_is_one_on_average(classification):
    torch.manual_seed(1)
    network = ViT(
        in_channels=1, img_size=(32, 48), patch_size=(8, 8), hidden_size=16, mlp_dim=16, num_layers=2, num_heads=2,
        spatial_dims=2, classification=classification, num_classes=2,
    ).eval()  # fmt: skip
    image = torch.randn(1, 1, 32, 48)
    found = view_attention(network, image, patches=(4, 6))
    assert found.shape == (32, 48)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.1)
    assert torch.equal(found, view_attention(network, image))
    with pytest.raises(ValueError, match="say how many there are"):
        view_attention(network, image, patches=(3, 3))
    assert not any(getattr(one, "save_attn", False) for one in network.modules())


def test_a_network_without_attention_says_so():
    network = make_unet(1)
    assert not has_attention(network)
    with pytest.raises(ValueError, match="no attention"):
        view_attention(network, torch.zeros(1, 1, 16, 16))
