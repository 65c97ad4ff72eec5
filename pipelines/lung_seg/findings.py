"""What is said of the lungs: segments, findings with numbers, notes; with the codes they are said in."""

from collections.abc import Mapping

import numpy as np

from pipelines.lung_seg.sides import LEFT, RIGHT
from pipelines.steps.measure import Density, measure_density
from pipelines.terms import (
    Box,
    Code,
    Finding,
    Kernel,
    Mask,
    Measurement,
    Note,
    Result,
    Segment,
    Severity,
    Told,
    Volume,
)

LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LATERALITY = {RIGHT: Code("24028007", "SCT", "Right"), LEFT: Code("7771000", "SCT", "Left")}
BOTH = Code("51440002", "SCT", "Right and left")

VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
LOW_ATTENUATION = Code("LAA950", "99WETREAD", "Low attenuation area fraction below -950 HU")
MILLILITER = Code("mL", "UCUM", "milliliter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "percent")

LOW_HU = -950.0
THIN_MM = 2.5
"""Thicker slices average small holes away: the low attenuation area then says less."""

NAMES = {RIGHT: "right-lung", LEFT: "left-lung"}
COLORS = {RIGHT: (90, 170, 230), LEFT: (240, 160, 90)}


def make_result(
    volume: Volume, masks: Mapping[int, Mask], cut: tuple[str, ...], seconds: Mapping[str, float]
) -> Result:
    """The result for `masks` (side -> mask on the volume's grid); `cut`: sides on which the image ends in lung."""
    present = {side: mask for side, mask in masks.items() if mask.any()}
    if not present:
        return Result((), (Finding("lungs", LUNG, laterality=BOTH, absent=True),), seconds=seconds)
    densities = {side: measure_density(volume.voxels, mask, LOW_HU) for side, mask in present.items()}
    findings = [_make_finding(side, density, volume.voxel_ml) for side, density in densities.items()]
    if len(present) > 1:  # one lung is not "right and left"
        findings.append(_sum_up(sum(densities.values(), Density(0, 0.0, 0)), present, volume.voxel_ml))
    return Result(
        segments=tuple(_make_segment(side, mask) for side, mask in present.items()),
        findings=tuple(findings),
        notes=tuple(_make_notes(volume, present, cut)),
        seconds=seconds,
    )


def _sum_up(total: Density, present: Mapping[int, Mask], voxel_ml: float) -> Finding:
    box = Box.around(np.logical_or.reduce(list(present.values())))
    return Finding("lungs", LUNG, laterality=BOTH, measurements=_measure(total, voxel_ml), box=box)


def note_acquisition(told: Told | None) -> list[Note]:
    """What of the way in which images were made, as far as their header tells it, moves density."""
    texts = []
    if told is not None and told.contrast:
        texts.append("A contrast agent was given: the lungs are denser than without, the low attenuation area smaller.")
    if told is not None and told.kernel is Kernel.SHARP:
        texts.append(
            "A sharp kernel was used, whose noise raises the low attenuation area: it is not comparable with values of"
            " smooth kernels."
        )
    return [Note(text, Severity.INFO) for text in texts]


def _make_segment(side: int, mask: Mask) -> Segment:
    label = f"{LATERALITY[side].meaning} lung"
    return Segment(
        NAMES[side], label, ANATOMY, LUNG, mask, laterality=LATERALITY[side], color=COLORS[side]
    )  # fmt: skip


def _make_finding(side: int, density: Density, voxel_ml: float) -> Finding:
    name = NAMES[side]
    return Finding(
        name, LUNG, laterality=LATERALITY[side], segment_key=name, measurements=_measure(density, voxel_ml)
    )  # fmt: skip


def _measure(density: Density, voxel_ml: float) -> tuple[Measurement, ...]:
    return (
        Measurement(VOLUME, round(density.voxels * voxel_ml, 1), MILLILITER),
        Measurement(ATTENUATION, round(density.mean_hu, 1), HOUNSFIELD, derivation=MEAN),
        Measurement(LOW_ATTENUATION, round(density.low_percent, 2), PERCENT),
    )


def _make_notes(volume: Volume, present: Mapping[int, Mask], cut: tuple[str, ...]) -> list[Note]:
    notes = []
    if cut:
        sides = " and ".join([", ".join(cut[:-1]), cut[-1]] if len(cut) > 1 else cut)
        notes.append(Note(f"The image ends in lung ({sides}): the volumes are lower bounds."))
    for side in LATERALITY.keys() - present.keys():
        notes.append(Note(f"No {LATERALITY[side].meaning.lower()} lung was found."))
    between = float(np.max(volume.spacing))
    if between > THIN_MM:
        text = f"Planes lie {between:.1f} mm apart: the low attenuation area is not comparable with thin-slice values."
        notes.append(Note(text, Severity.INFO))
    return notes
