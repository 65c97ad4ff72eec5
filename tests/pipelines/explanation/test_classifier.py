"""Sanity of the maps of a trained classifier (Adebayo et al. 2018; Petsiuk et al. 2018): they follow what it has
learned and lie where its reason is, and removing what they call important drops its score sooner than anything else."""

import copy

import pytest
import torch

from pipelines.explanation.cam import ClassActivation
from pipelines.explanation.deletion import delete_first, find_area
from pipelines.explanation.features import view_features
from pipelines.explanation.gradients import integrate_gradients
from pipelines.explanation.layers import find_deepest
from pipelines.explanation.occlusion import find_mean, occlude, pick_counts
from pipelines.explanation.scale import normalize, smooth
from pipelines.explanation.score import score_class
from tests.pipelines.explanation.seeded import SIZE, SQUARE, make_network, make_pictures, train


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return train(make_network())


@pytest.fixture(scope="module")
def picture():
    pictures, _, corners = make_pictures(1, 7, classes=[1])
    return pictures, tuple(corners[0].tolist())


def activate(network, image):
    layer = find_deepest(network, image)
    return normalize(ClassActivation(network, layer).draw(image, lambda one: score_class(one, 1)))


def hide(network, image):
    return normalize(occlude(score_class(network, 1), image, find_mean(image)))


def integrate(network, image):
    found = integrate_gradients(score_class(network, 1), image, find_mean(image))
    return normalize(smooth(found, 3))


METHODS = {"gradcam": activate, "occlusion": hide, "gradients": integrate}
by_method = pytest.mark.parametrize("explain", METHODS.values(), ids=METHODS.keys())


def test_the_network_has_learned_its_one_thing(network):
    pictures, kinds, _ = make_pictures(64, 5)
    with torch.no_grad():
        right = network(pictures).argmax(1) == kinds
    assert right.float().mean() > 0.95


@by_method
def test_a_map_is_a_share_of_its_most_on_the_grid_of_the_image_and_the_same_again(explain, network, picture):
    image, _ = picture
    found = explain(network, image)
    assert (found.shape, found.dtype) == ((SIZE, SIZE), torch.float32)
    assert 0.0 <= float(found.min()) < 0.1
    assert float(found.max()) == 1.0
    assert torch.equal(found, explain(network, image))


@by_method
def test_its_weight_lies_on_the_reason(explain, network, picture):
    image, (j, i) = picture
    found = explain(network, image)
    reach = found[max(j - 4, 0) : j + SQUARE + 4, max(i - 4, 0) : i + SQUARE + 4]
    assert reach.mean() > 3 * found.mean()
    peak = divmod(int(found.argmax()), SIZE)
    assert j - 4 <= peak[0] < j + SQUARE + 4
    assert i - 4 <= peak[1] < i + SQUARE + 4


@by_method
def test_randomized_weights_change_the_map(explain, network, picture):
    """Adebayo et al. 2018: a map that stays when the network forgets all is an edge detector. GradCAM++ keeps more of
    the image than the others: its ranks hardly change, its weight on the reason halves."""
    image, (j, i) = picture
    found = explain(network, image)
    others = [explain(make_network(seed), image) for seed in range(20, 24)]
    weights = [float(one[j - 2 : j + SQUARE + 2, i - 2 : i + SQUARE + 2].sum() / one.sum()) for one in (found, *others)]
    assert sum(weights[1:]) / len(others) < 0.7 * weights[0]
    assert all(float((one - found).abs().mean()) > 0.4 * float(found.mean()) for one in others)


@by_method
def test_the_score_drops_sooner_without_the_most_salient_pixels(explain, network, picture):
    image, _ = picture
    score, fill = score_class(network, 1), find_mean(image)
    mine = find_area(delete_first(score, image, explain(network, image), fill))
    random = torch.Generator().manual_seed(0)
    others = [delete_first(score, image, torch.rand((SIZE, SIZE), generator=random), fill) for _ in range(5)]
    last = find_area(delete_first(score, image, 1 - explain(network, image), fill))
    assert mine < min(find_area(other) for other in others)
    assert mine < last


def test_gradients_add_up_to_the_difference_of_the_scores(network, picture):
    """The axiom of completeness (Sundararajan et al. 2017)."""
    image, _ = picture
    score, base = score_class(network, 1), torch.zeros_like(picture[0])
    with torch.no_grad():
        difference = float(score(image) - score(base))
    found = integrate_gradients(score, image, base, steps=128)
    assert float(found.sum()) == pytest.approx(difference, rel=0.02)
    assert abs(difference) > 0.5


def test_occlusion_is_the_drop_of_each_cell():
    """Of a score that is a weighted sum, the drop is known: what was hidden, at the cells' centers."""
    weights = torch.arange(36.0).reshape(6, 6)
    image = torch.ones((1, 1, 6, 6))
    found = occlude(lambda some: (some[:, 0] * weights).sum(dim=(1, 2)), image, image * 0, most=36)
    assert torch.allclose(found, weights)
    coarse = occlude(lambda some: (some[:, 0] * weights).sum(dim=(1, 2)), image, image * 0, most=4)
    corners = [
        float(weights[rows, columns].sum()) for rows in (slice(3), slice(3, 6)) for columns in (slice(3), slice(3, 6))
    ]
    assert coarse[[0, 0, 5, 5], [0, 5, 0, 5]].tolist() == pytest.approx(corners)


def test_the_network_is_left_as_it_was(network, picture):
    image, _ = picture
    before = copy.deepcopy(network.state_dict())
    activate(network, image)
    integrate(network, image)
    hooks = [len(one._forward_hooks) + len(one._backward_hooks) for one in network.modules()]
    assert not any(hooks)
    assert all(one.grad is None for one in make_fresh(network).parameters())
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def make_fresh(network):
    """A copy without the gradients that its training left."""
    made = copy.deepcopy(network)
    made.zero_grad(set_to_none=True)
    return made


@pytest.mark.parametrize("size", [(40, 40), (1, 500), (40, 200, 300), (2, 2, 2), (512, 512, 900)])
def test_cells_are_bounded_whatever_the_size(size):
    counts = pick_counts(size)
    number = 1
    for n, count in zip(size, counts, strict=True):
        assert 1 <= count <= n
        number *= count
    assert number <= 196


def test_a_layer_s_features_respond_where_the_square_is(network, picture):
    image, (j, i) = picture
    layer = find_deepest(network, image)
    found = view_features(network, layer, image)
    assert found.shape == (SIZE, SIZE)
    flat = view_features(network, layer, image * 0)
    change = (found - flat).abs()
    assert change[j : j + SQUARE, i : i + SQUARE].mean() > 2 * change.mean()


def test_only_layers_with_a_grid_are_looked_at(picture):
    with pytest.raises(ValueError, match="no layer of the network has a grid"):
        find_deepest(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(1, 2, 1)), picture[0])
