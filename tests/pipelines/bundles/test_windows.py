"""Classes decided as windows go by are those of MONAI's sums."""

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from pipelines.bundles.windows import decide_windows, pick_highest


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize(("shape", "overlap"), [((30, 21, 17), 0.25), ((9, 40, 12), 0.5), ((11, 7, 29), 0.0)])
def test_the_answer_is_monais(mode, shape, overlap):
    torch.manual_seed(3)
    network = torch.nn.Conv3d(1, 40, 3, padding=1).eval()
    image = torch.randn(1, 1, *shape)
    inferer = SlidingWindowInferer((12, 10, 12), 2, overlap, mode=mode, padding_mode="replicate")
    with torch.inference_mode():
        expected = inferer(image, network).argmax(1)
        assert torch.equal(decide_windows(image, network, inferer, "cpu").long(), expected)


def test_classes_that_overlap_are_decided_each_for_itself():
    torch.manual_seed(3)
    network = torch.nn.Conv3d(1, 40, 3, padding=1).eval()
    image = torch.randn(1, 1, 30, 9, 17)
    inferer = SlidingWindowInferer((12, 10, 12), 2, 0.25, mode="gaussian", padding_mode="replicate")
    with torch.inference_mode():
        means = inferer(image, network)[0]
        masks = decide_windows(image, network, inferer, "cpu", lambda some: some.sigmoid() > 0.5)
    clear = means.abs() > 1e-4
    assert masks.dtype == torch.bool
    assert torch.equal(masks[clear], (means > 0)[clear])
    assert (masks.sum(0) > 1).any()


@pytest.mark.parametrize("decide", [pick_highest, lambda means: means > 0.0])
def test_only_planes_within_reach_of_a_window_are_kept(decide, monkeypatch):
    """105 classes of 256 planes: the sums that are alive at once are those of one window's reach."""
    largest = 0
    zeros = torch.zeros

    def watch(*shape, **options):
        nonlocal largest
        made = zeros(*shape, **options)
        largest = max(largest, made.numel())
        return made

    monkeypatch.setattr(torch, "zeros", watch)
    inferer = SlidingWindowInferer((8, 8, 8), 4, 0.25)
    decide_windows(zeros(1, 1, 8, 8, 256), lambda x: x.expand(-1, 105, -1, -1, -1), inferer, "cpu", decide)
    assert largest == 105 * 8 * 8 * 8
