"""What a bundle's process says of its own answer, taken into the result: it is not believed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bundles.findings import PERCENT, PROBABILITY, pick
from pipelines.bundles.ways import READINGS
from pipelines.errors import BundleCrashed
from pipelines.explanation.quantity import AUGMENTATION, STANDARD_DEVIATION, describe_members, name_map
from pipelines.terms import Finding, Measurement, Note, Result, Severity, Volume


def add_explanation(result: Result, way: str, arrays: Mapping[str, NDArray[Any]], volume: Volume) -> Result:
    """`result` of a classification with the explanation in `arrays` (pipelines.bundles.program.Answer). Raises
    BundleCrashed when they do not fit `volume`, or hold what no explanation can."""
    if way == "tta":
        deviation = pick(arrays, "deviation", np.float64)
        if deviation.shape != (1,) or not 0 <= deviation[0] <= 0.5:
            raise BundleCrashed("its deviation is none")
        findings = tuple(_add_deviation(finding, float(deviation[0])) for finding in result.findings)
        note = Note(describe_members(READINGS), Severity.INFO)
        return replace(result, findings=findings, notes=(*result.notes, note))
    values = pick(arrays, "map", np.float32)
    if values.shape != volume.shape or not ((values >= 0) & (values <= 1)).all():
        raise BundleCrashed(f"its map is {values.shape}, the picture {volume.shape}; or it is not 0 to 1")
    text = (
        "The map shows, as a share of the most, what speaks for the answer. It explains the network, not the patient."
    )
    return replace(result, maps=(*result.maps, name_map(way, values)), notes=(*result.notes, Note(text, Severity.INFO)))


def _add_deviation(finding: Finding, deviation: float) -> Finding:
    percent = Measurement(PROBABILITY, round(100.0 * deviation, 1), PERCENT, STANDARD_DEVIATION, AUGMENTATION)
    return replace(finding, measurements=(*finding.measurements, percent))
