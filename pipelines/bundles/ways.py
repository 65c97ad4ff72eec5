"""In which ways a bundle can explain itself, and what the worker may know of them without torch."""

from typing import Any

from pipelines.bundles.card import Task

WAYS = {
    Task.CLASSIFICATION: ("gradcam", "occlusion", "gradients", "tta", "features"),
    Task.SEGMENTATION: ("tta", "features"),
    Task.DETECTION: ("tta", "occlusion"),
}
"""By what comes out of it."""
ATTENTIVE = {"AttentionUnet", "UNETR", "ViT"}
"""Networks of MONAI whose attention can be read (pipelines.explanation.attention)."""
STEADY = ("tta", "ensemble")
"""Ways that say how steady an answer is, and not why it is so."""
CHANGES = (0.0, 0.02, 0.04)
"""By so much of each side a picture is moved, as it is and mirrored left for right."""
READINGS = 2 * len(CHANGES)
MOVES = (
    ((0, 0, 0), 1.0),
    ((3, 3, 3), 1.05),
    ((6, 2, 4), 0.95),
    ((2, 5, 1), 1.0),
    ((4, 6, 2), 1.05),
    ((1, 4, 5), 0.95),
)
"""By so many voxels along each axis a volume is moved, and its numbers multiplied, as in the training of many bundles.
The first is no change."""
THINNEST = 8
"""Of so many voxels along an axis, a volume is moved by one at most."""
MOST_DRAWN = 5
"""Boxes that are looked at one by one, the most certain: of each a detector reads a hundred pictures."""
LEAST_DROP = 0.2
"""Of the odds of a box. Where hiding a place lowers them nowhere by more, a share of the highest would be a picture of
the noise."""
MOVED = "moved by a few voxels and made brighter or darker by 5 %"


def list_ways(task: Task, network: Any, members: int) -> tuple[str, ...]:
    """The ways of a bundle that does `task`. network: its network_def, as its configuration has it; members: how many
    sets of weights of it there are to choose from (pipelines.bundles.members)."""
    ways = WAYS[task]
    if task is Task.DETECTION:
        return ways
    target = str(network.get("_target_", "") if isinstance(network, dict) else "").rpartition(".")[2]
    more = {"attention": target in ATTENTIVE, "ensemble": members > 1}
    return (*ways, *(way for way, there in more.items() if there))
