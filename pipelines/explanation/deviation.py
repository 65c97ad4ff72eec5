"""How far the volumes of several readings lie apart, as one more number of each finding."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.explanation.quantity import AUGMENTATION, STANDARD_DEVIATION
from pipelines.terms import Code, Finding, Measurement

VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")


def add_deviations(
    findings: Iterable[Finding], volumes: Mapping[str, Sequence[float]], method: Code = AUGMENTATION
) -> tuple[Finding, ...]:
    """`findings`, each with the standard deviation of its volume. volumes: key of a finding -> mL by reading; what is
    absent, or of which none are known, stays as it is."""
    return tuple(
        one if one.absent or one.key not in volumes else _add(one, volumes[one.key], method) for one in findings
    )


def _add(finding: Finding, volumes: Sequence[float], method: Code) -> Finding:
    """Two digits: those of six readings say no more."""
    deviation = float(f"{np.std(volumes):.2g}")
    added = Measurement(VOLUME, deviation, MILLILITER, STANDARD_DEVIATION, method)
    return replace(finding, measurements=(*finding.measurements, added))
