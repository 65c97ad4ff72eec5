"""The counter between science and hospital: the only part of `pipelines` that `node` may import."""

from pipelines.terms.code import Code
from pipelines.terms.context import Context, PriorStudy
from pipelines.terms.label_mask import LabelMask, LabelVolume, Mask
from pipelines.terms.manifest import Manifest, Requires, find_manifests, get_manifest, read_manifest, write_manifest
from pipelines.terms.region import Axes, Box
from pipelines.terms.registration import Field, Registration
from pipelines.terms.result import Finding, Measurement, Note, Result, ScalarMap, Segment, Severity, Tracking
from pipelines.terms.shelf import Allowance, Shelf, get_shelf, use_shelf
from pipelines.terms.volume import Affine, Volume

__all__ = [
    "Affine",
    "Allowance",
    "Axes",
    "Box",
    "Code",
    "Context",
    "Field",
    "Finding",
    "LabelMask",
    "LabelVolume",
    "Manifest",
    "Mask",
    "Measurement",
    "Note",
    "PriorStudy",
    "Registration",
    "Requires",
    "Result",
    "ScalarMap",
    "Segment",
    "Severity",
    "Shelf",
    "Tracking",
    "Volume",
    "find_manifests",
    "get_manifest",
    "get_shelf",
    "read_manifest",
    "use_shelf",
    "write_manifest",
]
