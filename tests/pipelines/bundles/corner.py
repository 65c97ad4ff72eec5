"""A detector's network that is written down: a box of 8 voxels is there where one corner of it is bright."""

import torch
from torch import nn
from torch.nn import functional


class Corner(nn.Module):
    """Its logit at a voxel is `steep` times how far the mean of the 8 voxels 2 and 3 farther along every axis lies
    above `middle`; each box is its anchor, 4 voxels to either side."""

    def __init__(self, steep=16.0, middle=0.7):
        super().__init__()
        kernel = torch.zeros(1, 1, 7, 7, 7)
        kernel[..., 5:, 5:, 5:] = 1 / 8
        self.kernel = nn.Parameter(kernel)
        self.steep, self.middle = steep, middle

    def forward(self, images):
        logits = self.steep * (functional.conv3d(images, self.kernel, padding=3) - self.middle)
        moves = torch.zeros(len(images), 6, *images.shape[2:], device=images.device)
        return {"classification": [logits], "box_regression": [moves]}
