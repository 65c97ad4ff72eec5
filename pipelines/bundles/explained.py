"""What a bundle's process says of its own answer, taken into the result: it is not believed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bundles.card import Card, Task, make_key
from pipelines.bundles.findings import PERCENT, PROBABILITY, pick
from pipelines.bundles.ways import MOVED, MOVES, READINGS, STEADY
from pipelines.errors import BundleCrashed
from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.quantity import (
    AUGMENTATION,
    ENSEMBLE,
    STANDARD_DEVIATION,
    describe_ensemble,
    describe_members,
    name_map,
)
from pipelines.terms import Code, Finding, Measurement, Note, Result, ScalarMap, Severity, Volume

Arrays = Mapping[str, NDArray[Any]]
SPEAKS = "The map shows, as a share of the most, what speaks for the answer. It explains the network, not the patient."
MEANINGS = {
    "attention": "The map shows, as a share of the most, where the network attends. High attention is no evidence for "
    "the answer, and explains it no more than where a reader looked.",
    "features": "The map shows, as a share of the most, where the deepest layer of the network responds, whatever for. "
    "It explains no answer.",
}


def add_explanation(result: Result, way: str, arrays: Arrays, volume: Volume, card: Card, members: int = 0) -> Result:
    """`result` with the explanation in `arrays` (pipelines.bundles.program.Answer). members: sets of weights. Raises
    BundleCrashed when they do not fit `volume`, or hold what no explanation can."""
    if way not in STEADY:
        return add(result, [Note(MEANINGS.get(way, SPEAKS), Severity.INFO)], (take_map(way, arrays, volume),))
    method = AUGMENTATION if way == "tta" else ENSEMBLE
    if card.task is Task.CLASSIFICATION:
        deviation = _take_deviation(arrays)
        found = tuple(_add_deviation(finding, deviation, method) for finding in result.findings)
        text = describe_members(READINGS) if way == "tta" else describe_ensemble(members)
        return add(replace(result, findings=found), [Note(text, Severity.INFO)])
    number = len(MOVES) if way == "tta" else members
    found = add_deviations(result.findings, _take_volumes(arrays, volume, card, number), method)
    text = describe_members(number, MOVED) if way == "tta" else describe_ensemble(members)
    return add(replace(result, findings=found), [Note(text, Severity.INFO)], (take_map(way, arrays, volume),))


def add(result: Result, notes: Sequence[Note], maps: tuple[ScalarMap, ...] = ()) -> Result:
    """`result` with `notes` and `maps` after its own."""
    return replace(result, maps=(*result.maps, *maps), notes=(*result.notes, *notes))


def take_map(way: str, arrays: Arrays, volume: Volume) -> ScalarMap:
    """The map in `arrays`. Raises BundleCrashed where it is none of `volume`."""
    values = pick(arrays, "map", np.float32)
    if values.shape != volume.shape or not ((values >= 0) & (values <= 1)).all():
        raise BundleCrashed(f"its map is {values.shape}, the images {volume.shape}; or it is not 0 to 1")
    return name_map(way, values)


def _take_volumes(arrays: Arrays, volume: Volume, card: Card, number: int) -> dict[str, list[float]]:
    """mL by reading, of which there are `number`, of each output by its key."""
    counts = pick(arrays, "counts", np.float64)
    fits = counts.shape == (card.numbers, number)
    if not fits or not ((counts >= 0) & (counts <= volume.voxels.size)).all():
        raise BundleCrashed("its counts of voxels are none of these images")
    return {make_key(label): list(counts[number] * volume.voxel_ml) for number, label in card.outputs.items()}


def _take_deviation(arrays: Arrays) -> float:
    deviation = pick(arrays, "deviation", np.float64)
    if deviation.shape != (1,) or not 0 <= deviation[0] <= 0.5:
        raise BundleCrashed("its deviation is none")
    return float(deviation[0])


def _add_deviation(finding: Finding, deviation: float, method: Code) -> Finding:
    percent = Measurement(PROBABILITY, round(100.0 * deviation, 1), PERCENT, STANDARD_DEVIATION, method)
    return replace(finding, measurements=(*finding.measurements, percent))
