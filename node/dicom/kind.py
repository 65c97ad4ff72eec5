"""What the header of a series says it is, as far as it says so outright; its pixels are the mind's to look at."""

import re

from pydicom import Dataset

from node.dicom.header import Frame, find_frames, find_value
from node.dicom.input_gate import NOT_ACQUIRED, NOT_ANATOMY, read_image_type
from node.dicom.kernel import name_kernel
from node.dicom.regions import find_hints, find_regions
from node.dicom.stack import Stack
from node.dicom.weighting import find_weighting
from pipelines.terms import Region, Role, Told

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")
"""The narrowest first: a study of the abdomen may hold a series of the chest."""
NO_AGENT = {"NONE", "NO", "N", "OFF", "WITHOUT"}
WITHOUT = re.compile(
    r"\b(W/?O|WITHOUT|NON[- ]?(CONTRAST|CON|CE)|UNENHANCED|NATIVE|NATIV|SANS)\b|(^|[\s(])-C\b|\bC-(?![A-Z0-9])"
)
WITH = re.compile(r"\b(WITH|W/(?!O)|POST|CE|GD|GAD\w*|ENHANCED|ANGIO\w*|CTA|CTPA)\b|(^|[\s(])\+C\b|\bC\+")
ORAL = re.compile(r"\bWITH(OUT)? ORAL( CONTRAST)?\b")


def read_kind(stack: Stack) -> Told:
    """What the header of the first plane of `stack` says of its series."""
    index, number = stack.frames[0]
    return tell_kind(find_frames(stack.headers[index], [number])[0])


def tell_kind(frame: Frame) -> Told:
    """What the header of `frame` says of its series; the words of it are matched, never repeated."""
    modality = str(frame.get("Modality") or "")
    kernel = find_value(frame.header, "ConvolutionKernel") if modality == "CT" else None
    return Told(
        modality,
        regions=_read_regions(frame),
        hinted=_read_hints(frame.header),
        weighting=find_weighting(frame) if modality == "MR" else None,
        contrast=_read_contrast(frame),
        kernel=name_kernel(str(kernel if isinstance(kernel, str) else kernel[0])) if kernel else None,
        role=_read_role(frame),
    )


def _read_regions(frame: Frame) -> frozenset[Region]:
    """Body Part Examined and Anatomic Region (PS3.3 C.7.3.1, 10.5)."""
    codes = frame.get("AnatomicRegionSequence") or ()
    return find_regions(
        [str(frame.get("BodyPartExamined") or ""), *(str(code.get("CodeMeaning", "")) for code in codes)]
    )


def _read_hints(header: Dataset) -> frozenset[Region]:
    """The regions that the first description names that names any."""
    found = (find_hints(str(find_value(header, keyword) or "")) for keyword in DESCRIPTIONS)
    return next((regions for regions in found if regions), frozenset())


def _read_contrast(frame: Frame) -> bool | None:
    """Contrast/Bolus Agent (PS3.3 C.7.6.4), else what the descriptions agree on."""
    if agent := str(frame.get("ContrastBolusAgent") or "").strip().upper():
        return agent not in NO_AGENT
    if frame.get("ContrastBolusAgentSequence"):
        return True
    keywords = (*DESCRIPTIONS, "BodyPartExamined")
    said = ORAL.sub(" ", " / ".join(str(find_value(frame.header, keyword) or "") for keyword in keywords).upper())
    without, given = WITHOUT.search(said) is not None, WITH.search(said) is not None
    return None if without == given else given


def _read_role(frame: Frame) -> Role | None:
    tokens = read_image_type(frame)
    words = {word for token in tokens[2:] for word in (token, *token.split())}
    if words & {"LOCALIZER", "SCOUT", "TOPOGRAM"}:
        return Role.LOCALIZER
    made = words & ((NOT_ACQUIRED | NOT_ANATOMY).keys() - {"P", "R", "I"})
    if made or tokens[:1] == ["DERIVED"]:
        return Role.DERIVED
    return Role.ORIGINAL if tokens[:1] == ["ORIGINAL"] else None
