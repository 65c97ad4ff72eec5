"""The counter between science and hospital: the only part of `pipelines` that `node` may import."""

from pipelines.terms.code import Code
from pipelines.terms.manifest import Manifest, Requires, find_manifests, get_manifest, read_manifest
from pipelines.terms.result import Finding, Mask, Measurement, Note, Result, ScalarMap, Segment, Severity
from pipelines.terms.volume import Affine, Volume

__all__ = [
    "Affine",
    "Code",
    "Finding",
    "Manifest",
    "Mask",
    "Measurement",
    "Note",
    "Requires",
    "Result",
    "ScalarMap",
    "Segment",
    "Severity",
    "Volume",
    "find_manifests",
    "get_manifest",
    "read_manifest",
]
