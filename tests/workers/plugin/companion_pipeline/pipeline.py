"""Gives back the masks of the job before, and of each prior its age and its mean; waits as `threshold` does.

It explains itself by the images themselves.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from pipelines.terms import Code, Finding, Measurement, Note, Result, ScalarMap, read_manifest

BONE = Code("272673000", "SCT", "Bone")
PRIOR = Code("108252007", "SCT", "Prior study")
AGE = Code("410668003", "SCT", "Length of time")
DAY = Code("d", "UCUM", "day")
MEAN = Code("112031", "DCM", "Attenuation Coefficient")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")


class Companion:
    """Keeps the Pipeline and the ContextModel protocol at once: there are no weights."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device):
        return self

    def run(self, volume, progress):
        raise AssertionError("a worker that has a context gives it")

    def run_with(self, volume, context, progress):
        progress(0.4, "compare")
        wait = Path(os.environ["THRESHOLD_SECONDS"])
        time.sleep(float(wait.read_text()) if wait.exists() else 0.0)
        segments = tuple(context.before.values())
        findings = [Finding(one.key, BONE, segment_key=one.key) for one in segments]
        for n, prior in enumerate(context.priors):
            there = prior.load()
            measured = [Measurement(AGE, float(prior.days_before), DAY)]
            measured += [Measurement(MEAN, float(there.voxels.mean()), HU)] if there else []
            findings.append(Finding(f"prior-{n}", PRIOR, measurements=tuple(measured)))
        return Result(segments, tuple(findings) or (Finding("bone", BONE, absent=True),))

    def explain(self, volume, result, way, progress):
        brightness = ScalarMap(way, "Brightness", volume.voxels, MEAN, HU)
        return replace(result, maps=(brightness,), notes=(*result.notes, Note("It is what it is.")))


pipeline = Companion()
