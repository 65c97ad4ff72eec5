"""Everything brighter than 500, after as many seconds as the file named by THRESHOLD_SECONDS says, or until it goes."""

import os
import time
from pathlib import Path

from pipelines.terms import Code, Finding, Measurement, Result, Segment, read_manifest

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
BONE = Code("272673000", "SCT", "Bone")
VOLUME = Code("118565006", "SCT", "Volume")
ML = Code("mL", "UCUM", "milliliter")


class Threshold:
    """Keeps the Pipeline and the Model protocol at once: there are no weights."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device):
        return self

    def run(self, volume, progress):
        progress(0.4, "threshold")
        wait(Path(os.environ["THRESHOLD_SECONDS"]))
        mask = volume.voxels > 500
        if not mask.any():
            return Result((), (Finding("bright", BONE, absent=True),))
        measured = Measurement(VOLUME, float(mask.sum()) * volume.voxel_ml, ML)
        segment = Segment("bright", "Bright", ANATOMY, BONE, mask)
        return Result((segment,), (Finding("bright", BONE, segment_key="bright", measurements=(measured,)),))


def wait(file):
    if not file.exists():
        return
    end = time.monotonic() + float(file.read_text())
    while file.exists() and (left := end - time.monotonic()) > 0:
        time.sleep(min(0.05, left))


pipeline = Threshold()
