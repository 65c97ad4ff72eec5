"""In which ways a bundle can explain itself, and what the worker may know of them without torch."""

from pipelines.bundles.card import Task

WAYS = {Task.CLASSIFICATION: ("gradcam", "occlusion", "gradients", "tta")}
"""By what comes out of it."""
CHANGES = (0.0, 0.02, 0.04)
"""By so much of each side a picture is moved, as it is and mirrored left for right."""
READINGS = 2 * len(CHANGES)
