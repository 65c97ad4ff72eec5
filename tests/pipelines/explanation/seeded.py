"""A classifier that has learned one thing, so that it is known where its reasons lie: a bright square on one side."""

import torch
from monai.networks.nets import DenseNet
from torch.nn import functional

SIZE = 40
SQUARE = 8


def make_network(seed=3):
    torch.manual_seed(seed)
    return DenseNet(
        spatial_dims=2, in_channels=1, out_channels=2, init_features=8, growth_rate=8, block_config=(3,), bn_size=2
    ).eval()


def make_pictures(count, seed, classes=None):
    """(pictures (count, 1, SIZE, SIZE), classes (count,), corners (count, 2)): noise with a square, whose class is 1
    where it is bright and 0 where it is dark."""
    random = torch.Generator().manual_seed(seed)
    pictures = torch.randn((count, 1, SIZE, SIZE), generator=random) * 0.15
    kinds = torch.randint(0, 2, (count,), generator=random) if classes is None else torch.tensor(classes)
    corners = torch.randint(6, SIZE - SQUARE - 6, (count, 2), generator=random)
    for picture, kind, (j, i) in zip(pictures, kinds, corners.tolist(), strict=True):
        picture[0, j : j + SQUARE, i : i + SQUARE] += 1.0 if kind else -1.0
    return pictures, kinds, corners


def train(network, steps=40):
    """`network`, which tells bright from dark afterwards."""
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    network.train()
    for step in range(steps):
        pictures, kinds, _ = make_pictures(16, 100 + step)
        optimizer.zero_grad()
        functional.cross_entropy(network(pictures), kinds).backward()
        optimizer.step()
    return network.eval()
