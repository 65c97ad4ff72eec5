"""Twenty organs and the volume of each, for any volume: drawn when the model is loaded, or once for another shape."""

from functools import cache
from pathlib import Path

import anatomy
import numpy as np

from pipelines.terms import Code, Finding, LabelMask, Measurement, Result, Segment, read_manifest

ORGANS = 20
SHAPE = (500, 512, 512)
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ORGAN = Code("91723000", "SCT", "Anatomical structure")
VOLUME = Code("118565006", "SCT", "Volume")
ML = Code("mL", "UCUM", "milliliter")


class Instant:
    """Keeps the Pipeline and the Model protocol at once: there are no weights."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device):
        draw(SHAPE)
        return self

    def run(self, volume, progress):
        labels, counts = draw(volume.shape)
        numbers = [number for number in range(1, ORGANS + 1) if counts[number]]
        return Result(
            tuple(
                Segment(f"organ-{n}", f"Organ {n}", ANATOMY, ORGAN, LabelMask(labels, n), color=(n * 12, 200, 90))
                for n in numbers
            ),
            tuple(
                Finding(
                    f"organ-{n}",
                    ORGAN,
                    segment_key=f"organ-{n}",
                    measurements=(Measurement(VOLUME, float(counts[n]) * volume.voxel_ml, ML),),
                )
                for n in numbers
            ),
        )


@cache
def draw(shape):
    """(labels, voxels of each label)."""
    labels = anatomy.make_labels(ORGANS, shape)
    return labels, np.bincount(labels.ravel(), minlength=ORGANS + 1)


pipeline = Instant()
