"""What is said of nodules: segments, findings with numbers, notes; with the codes they are said in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.dense import note_dense
from pipelines.steps.density_type import DensityType, get_solid_share, name_density
from pipelines.steps.grow import Grown
from pipelines.terms import Code, Finding, Mask, Measurement, Note, Result, Segment, Severity, Volume

OURS = "99WETREAD"
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LATERALITY = {"right-lung": Code("24028007", "SCT", "Right"), "left-lung": Code("7771000", "SCT", "Left")}
BOTH = Code("51440002", "SCT", "Right and left")

VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
CONFIDENCE = Code("NOD-CONF", OURS, "Confidence that this is a nodule")
SOLID_SHARE = Code("NOD-SOLID", OURS, "Share of the nodule above -350 HU")
DENSITY_TYPE = Code("NOD-DENS", OURS, "Density type of the nodule by HU rule")
DENSITY_TYPES = {
    DensityType.SOLID: Code("RID50151", "RADLEX", "Solid pulmonary nodule"),
    DensityType.PART_SOLID: Code("RID50152", "RADLEX", "Part-solid pulmonary nodule"),
    DensityType.GROUND_GLASS: Code("RID50153", "RADLEX", "Non-solid pulmonary nodule"),
}
MILLILITER = Code("mL", "UCUM", "milliliter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")

COLORS = (
    (230, 60, 90), (240, 160, 60), (240, 225, 70), (120, 210, 80), (60, 200, 170), (70, 170, 240), (110, 110, 245),
    (190, 100, 240), (240, 110, 200), (190, 150, 110),
)  # fmt: skip
"""One after the other, so that neighbors can be told apart."""
DEMONSTRATOR = (
    "Demonstrator: AI output, not for diagnosis. It misses nodules and takes vessels for nodules; see its model card."
)
NOTHING = "No nodule candidate found by this demonstrator. This does not say that there is none."


@dataclass(frozen=True, slots=True, eq=False)
class Nodule:
    """What is reported. confidence: 0..1. side: key of the lung it lies in."""

    grown: Grown
    confidence: float
    side: str


def make_result(
    volume: Volume, nodules: Sequence[Nodule], notes: Sequence[Note], seconds: Mapping[str, float]
) -> Result:
    """The result for `nodules`, the most confident first; one that says absent where there are none."""
    said = [Note(DEMONSTRATOR), *notes]
    if not nodules:
        absent = Finding("nodule", NODULE, site=LUNG, laterality=BOTH, absent=True)
        return Result((), (absent,), (Note(NOTHING), *said), dict(seconds))
    segments, findings, means = [], [], {}
    for number, nodule in enumerate(nodules, 1):
        mask = np.zeros(volume.shape, dtype=bool)
        mask[nodule.grown.box] = nodule.grown.mask
        segments.append(_make_segment(number, nodule, mask))
        findings.append(_make_finding(segments[-1], nodule, volume))
        means[segments[-1].label] = float(volume.voxels[nodule.grown.box][nodule.grown.mask].mean(dtype=np.float64))
    return Result(tuple(segments), tuple(findings), (*said, *note_dense(means)), dict(seconds))


def _make_segment(number: int, nodule: Nodule, mask: Mask) -> Segment:
    side = LATERALITY.get(nodule.side)
    return Segment(
        f"nodule-{number}", f"Nodule {number}", LESION, NODULE, mask, site=LUNG, laterality=side,
        color=COLORS[(number - 1) % len(COLORS)],
    )  # fmt: skip


def _make_finding(segment: Segment, nodule: Nodule, volume: Volume) -> Finding:
    hu: NDArray[np.float32] = volume.voxels[nodule.grown.box]
    mask = nodule.grown.mask
    share = get_solid_share(hu, mask, volume.spacing)
    return Finding(
        segment.key,
        NODULE,
        site=LUNG,
        laterality=segment.laterality,
        segment_key=segment.key,
        measurements=(
            Measurement(CONFIDENCE, round(nodule.confidence, 3), NO_UNITS),
            Measurement(VOLUME, round(float(np.count_nonzero(mask)) * volume.voxel_ml, 4), MILLILITER),
            Measurement(ATTENUATION, round(float(hu[mask].mean(dtype=np.float64)), 1), HOUNSFIELD, derivation=MEAN),
            Measurement(SOLID_SHARE, round(100.0 * share, 1), PERCENT),
        ),
        qualifiers=((DENSITY_TYPE, DENSITY_TYPES[name_density(share)]),),
    )


def note_thickness(volume: Volume) -> list[Note]:
    """That planes far apart hide small nodules, where they do."""
    between = volume.spacing[0]
    if between <= 1.5:
        return []
    text = f"Planes lie {between:.1f} mm apart: nodules below {2 * between:.0f} mm are seen in part or not at all."
    return [Note(text, Severity.INFO)]
