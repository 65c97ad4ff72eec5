"""Every part brighter than 1200 HU as a nodule, the largest first."""

from pathlib import Path

import numpy as np

from pipelines.steps.components import label_components
from pipelines.terms import Code, Finding, Result, Segment, read_manifest

LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")


class Spots:
    """Keeps the Pipeline and the Model protocol at once: there are no weights."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device):
        return self

    def run(self, volume, progress):
        labels, sizes = label_components(volume.voxels > 1200)
        order = [n for n in np.argsort(-sizes, kind="stable") if sizes[n]]
        segments = tuple(
            Segment(f"nodule-{n}", f"Nodule {n}", LESION, NODULE, labels == label) for n, label in enumerate(order, 1)
        )
        found = tuple(Finding(one.key, NODULE, segment_key=one.key) for one in segments)
        return Result(segments, found or (Finding("nodule", NODULE, absent=True),))


pipeline = Spots()
