"""How far the numbers of several readings lie apart, as one more number of each finding."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.explanation.quantity import AUGMENTATION, STANDARD_DEVIATION
from pipelines.terms import Code, Finding, Measurement

VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")


def add_deviations(
    findings: Iterable[Finding],
    readings: Mapping[str, Sequence[float]],
    method: Code = AUGMENTATION,
    concept: Code = VOLUME,
    unit: Code = MILLILITER,
) -> tuple[Finding, ...]:
    """`findings`, each with the standard deviation of its volume, or of another `concept`. readings: key of a finding
    -> its value by reading, in `unit`; what is absent, or of which none are known, stays as it is."""

    def add(finding: Finding) -> Finding:
        if finding.absent or finding.key not in readings:
            return finding
        added = Measurement(concept, _round(readings[finding.key]), unit, STANDARD_DEVIATION, method)
        return replace(finding, measurements=(*finding.measurements, added))

    return tuple(add(finding) for finding in findings)


def _round(readings: Sequence[float]) -> float:
    """The standard deviation of `readings`. Two digits: those of six readings say no more."""
    return float(f"{np.std(readings):.2g}")
