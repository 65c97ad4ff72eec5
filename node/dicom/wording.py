"""Findings, numbers and planes in words for people: what stands on a picture, in a key object's text, on a page."""

import math

from node.dicom import codes
from node.dicom.authorship import Authorship
from node.dicom.header import find_value
from node.dicom.stack import Stack
from pipelines.terms import Code, Finding, Measurement, Result, Severity

FOOTNOTE = "AI result, not for diagnosis"

UNITS = {"1": "", "[hnsf'U]": "HU", "mm2": "mm²", "mm3": "mm³", "cm2": "cm²", "cm3": "cm³", "um": "µm", "Cel": "°C"}
"""UCUM codes that are not themselves what people write. Those in braces are annotations without a unit."""

LEAD = {Severity.WARNING: "Warning", Severity.INFO: "Note"}


def name_finding(finding: Finding, result: Result) -> str:
    """The label of its segment, where it speaks of one; else what was found and where."""
    segment = next((one for one in result.segments if one.key == finding.segment_key), None)
    return segment.label if segment is not None else ", ".join([finding.concept.meaning, *name_place(finding)])


def name_place(finding: Finding) -> list[str]:
    """Side and site of a finding, as one phrase or none."""
    words = [code.meaning for code in (finding.laterality, finding.site) if code is not None]
    return [" ".join(words)] if words else []


def name_measurement(measurement: Measurement) -> str:
    """What was measured, e.g. "Attenuation Coefficient (Mean)"."""
    more = [code.meaning for code in (measurement.derivation, measurement.method) if code is not None]
    return f"{measurement.concept.meaning} ({', '.join(more)})" if more else measurement.concept.meaning


def list_axes(finding: Finding) -> list[tuple[str, str, str]]:
    """(what, value, unit) of the diameters in one plane, none where it has none: by these a reader knows a lesion."""
    if finding.axes is None or finding.absent:
        return []
    lengths = ((codes.LONG_AXIS, finding.axes.long_mm), (codes.SHORT_AXIS, finding.axes.short_mm))
    return [(code.meaning, format_number(length), "mm") for code, length in lengths]


def format_value(measurement: Measurement) -> str:
    """Value and unit, e.g. "1.25 mL"."""
    return f"{format_number(measurement.value)} {format_unit(measurement.unit)}".rstrip()


def format_number(value: float) -> str:
    """At most four significant digits, but every digit before the point; no exponent from 0.0001 to 10^15."""
    if not math.isfinite(value) or value == 0 or not 1e-4 <= abs(value) < 1e15:
        return f"{value:.4g}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_unit(unit: Code) -> str:
    """As people write it; "" for a pure number."""
    if unit.value.startswith("{"):
        return ""
    return UNITS.get(unit.value, unit.value)


def name_plane(stack: Stack, k: int) -> str:
    """The source of plane k as a reader finds it: "image 57" by Instance Number, "frame 3" of a multi-frame image."""
    index, number = stack.frames[k]
    header = stack.headers[index]
    if int(find_value(header, "NumberOfFrames") or 1) > 1:
        return f"frame {number}"
    shown = find_value(header, "InstanceNumber")
    return f"image {shown}" if shown is not None else f"plane {k + 1} of {stack.shape[0]}"


def state_caution(author: Authorship) -> str:
    """Whose result it is, that nobody has reviewed it, what it is for and what not."""
    manifest = author.manifest
    return (
        f"AI result of {manifest.name} {manifest.version}, not reviewed by a person. "
        f"Intended use: {manifest.intended_use.rstrip('. ')}. Not for: {manifest.not_for.rstrip('. ')}."
    )


def state_notes(result: Result) -> list[str]:
    """The notes of a result as sentences that say how much they weigh."""
    return [f"{LEAD[note.severity]}: {note.text}" for note in result.notes]
