"""What the numbers of a map are, as codes, and the map as it goes into a result."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import Code, ScalarMap

NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETER = Code("mm", "UCUM", "millimeter")
BIT = Code("bit", "UCUM", "bit")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
"""Of CID 7464: how a number that says how far others lie apart was derived."""
AUGMENTATION = Code("TTA", "99WETREAD", "Test-time augmentation")
ENSEMBLE = Code("ENSEMBLE", "99WETREAD", "Ensemble of networks")
MIRRORED = "mirrored and moved by a few voxels"


@dataclass(frozen=True, slots=True)
class Quantity:
    """label: for people. code: what the values are; unit: UCUM."""

    label: str
    code: Code
    unit: Code


QUANTITIES = MappingProxyType(
    {
        "gradcam": Quantity(
            "Class activation (GradCAM++)", Code("130403", "DCM", "Gradient-weighted class activation"), NO_UNITS
        ),
        "occlusion": Quantity("Saliency (occlusion)", Code("130404", "DCM", "Saliency"), NO_UNITS),
        "gradients": Quantity("Saliency (integrated gradients)", Code("130404", "DCM", "Saliency"), NO_UNITS),
        "tta": Quantity(
            "Uncertainty (test-time augmentation)", Code("ENTROPY", "99WETREAD", "Predictive entropy"), BIT
        ),
        "ensemble": Quantity("Uncertainty (ensemble)", Code("ENTROPY", "99WETREAD", "Predictive entropy"), BIT),
        "consistency": Quantity(
            "Inverse consistency of the registration",
            Code("INVERSEERROR", "99WETREAD", "Inverse consistency error"),
            MILLIMETER,
        ),
        "attention": Quantity("Attention", Code("ATTENTION", "99WETREAD", "Attention weight"), NO_UNITS),
        "features": Quantity("Features (deepest layer)", Code("FEATURES", "99WETREAD", "Feature response"), NO_UNITS),
    }
)
"""By way. The codes of DCM are those of PS3.16 CID 217 for maps of explanations; it has none for
uncertainty, for attention, for the responses of a layer and for how two registrations disagree."""


def name_map(way: str, values: NDArray[np.float32], nothing: float | None = None) -> ScalarMap:
    """`values` (k, j, i of the source volume) as the map of `way`. nothing: what stands where there is no value."""
    quantity = QUANTITIES[way]
    return ScalarMap(way, quantity.label, values, quantity.code, quantity.unit, nothing)


def describe_members(count: int, changed: str = MIRRORED) -> str:
    """That an uncertainty is of `count` readings, in words. changed: what is done to the images."""
    return (
        f"Uncertainty and standard deviations are of {count} readings of the same images, {changed}: how steady the "
        "answer is, not how right. Real errors are larger."
    )


def describe_ensemble(count: int) -> str:
    """That an uncertainty is of `count` sets of weights, in words."""
    return (
        f"Uncertainty and standard deviations are of {count} sets of weights of the same network: how much they agree, "
        "not how right they are. Real errors are larger. The answer itself is that of the pipeline's own weights."
    )
