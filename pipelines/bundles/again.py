"""How steady a detecting bundle's boxes are: the same images, moved and a little brighter, searched again."""

import numpy as np

from pipelines.bundles.boxes import Floats, Reported, find_again
from pipelines.bundles.detect import Find, Scene, Tell
from pipelines.bundles.steady import list_changes


def search_again(find: Find, scene: Scene, reported: Reported, tell: Tell) -> Floats:
    """The score of each of `reported` after each of MOVES (pipelines.bundles.ways): float64 (n, reading), 0 where it is
    not found again. Every reading is as large as `scene`, so that it goes through the same windows.

    NaN in every reading of a box that lies so near the far edge of the images that a move takes a part of it away: that
    it is not found would say nothing.
    """
    size = scene.image.shape[1:]
    changes = list_changes(size)
    scores = np.zeros((len(reported.boxes), len(changes)))
    for number, change in enumerate(changes):
        (found,) = find(change.apply(scene.image)[None])
        corners = scene.lay(found.boxes - np.tile(change.shift, 2))
        scores[:, number] = find_again(reported, corners, found)
        tell((number + 1) / len(changes))
    farthest = np.max([change.shift for change in changes], axis=0)
    leaves = (scene.trace(reported.boxes)[:, 3:] + farthest > np.asarray(size)).any(axis=1)
    scores[leaves] = np.nan
    return scores
