"""The counter between science and hospital: the only part of `pipelines` that `node` may import."""

from pipelines.terms.code import Code
from pipelines.terms.context import Context, PriorStudy
from pipelines.terms.kind import Kernel, Region, Role, Sighting, Told, Weighting, may_agree
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
    "Kernel",
    "LabelMask",
    "LabelVolume",
    "Manifest",
    "Mask",
    "Measurement",
    "Note",
    "PriorStudy",
    "Region",
    "Registration",
    "Requires",
    "Result",
    "Role",
    "ScalarMap",
    "Segment",
    "Severity",
    "Shelf",
    "Sighting",
    "Told",
    "Tracking",
    "Volume",
    "Weighting",
    "find_manifests",
    "get_manifest",
    "get_shelf",
    "may_agree",
    "read_manifest",
    "use_shelf",
    "write_manifest",
]
