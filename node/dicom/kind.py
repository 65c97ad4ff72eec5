"""What the header of a series says it is, as far as it says so outright; its pixels are the mind's to look at."""

import re

from pydicom import Dataset

from node.dicom.header import Frame, find_frames, find_value
from node.dicom.input_gate import NOT_ACQUIRED, NOT_ANATOMY, read_image_type
from node.dicom.kernel import name_kernel
from node.dicom.regions import find_hints, find_regions
from node.dicom.stack import Stack
from node.dicom.weighting import weigh
from pipelines.terms import Kernel, Region, Role, Told

Keywords = tuple[str, ...]
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
    regions, parts = _read_regions(frame)
    hinted, hint = _read_hints(frame.header)
    weighting, times = weigh(frame) if modality == "MR" else (None, ())
    contrast, agent = _read_contrast(frame)
    kernel, filters = _read_kernel(frame) if modality == "CT" else (None, ())
    role, types = _read_role(frame)
    sources = {
        "regions": parts, "hinted": hint, "weighting": times, "contrast": agent, "kernel": filters, "role": types,
    }  # fmt: skip
    return Told(modality, regions, hinted, weighting, contrast, kernel, role, sources)


def _read_regions(frame: Frame) -> tuple[frozenset[Region], Keywords]:
    """Body Part Examined and Anatomic Region (PS3.3 C.7.3.1, 10.5); and which of them name one, else are there."""
    codes = frame.get("AnatomicRegionSequence") or ()
    said = {
        "BodyPartExamined": [str(frame.get("BodyPartExamined") or "")],
        "AnatomicRegionSequence": [str(code.get("CodeMeaning", "")) for code in codes],
    }
    found = find_regions([value for values in said.values() for value in values])
    there = tuple(keyword for keyword, values in said.items() if any(values))
    return found, tuple(keyword for keyword in there if find_regions(said[keyword])) or there


def _read_hints(header: Dataset) -> tuple[frozenset[Region], Keywords]:
    """The regions that the first description names that names any."""
    for keyword in DESCRIPTIONS:
        if regions := find_hints(str(find_value(header, keyword) or "")):
            return regions, (keyword,)
    return frozenset(), ()


def _read_contrast(frame: Frame) -> tuple[bool | None, Keywords]:
    """Contrast/Bolus Agent (PS3.3 C.7.6.4), else what the descriptions agree on."""
    if agent := str(frame.get("ContrastBolusAgent") or "").strip().upper():
        return agent not in NO_AGENT, ("ContrastBolusAgent",)
    if frame.get("ContrastBolusAgentSequence"):
        return True, ("ContrastBolusAgentSequence",)
    keywords = (*DESCRIPTIONS, "BodyPartExamined")
    texts = {keyword: ORAL.sub(" ", str(find_value(frame.header, keyword) or "").upper()) for keyword in keywords}
    without, given = ({keyword for keyword in keywords if word.search(texts[keyword])} for word in (WITHOUT, WITH))
    telling = tuple(keyword for keyword in keywords if keyword in without | given)
    return None if bool(without) == bool(given) else bool(given), telling


def _read_kernel(frame: Frame) -> tuple[Kernel | None, Keywords]:
    said = find_value(frame.header, "ConvolutionKernel")
    if not said:
        return None, ()
    return name_kernel(str(said if isinstance(said, str) else said[0])), ("ConvolutionKernel",)


def _read_role(frame: Frame) -> tuple[Role | None, Keywords]:
    tokens = read_image_type(frame)
    there = tuple(keyword for keyword in ("FrameType", "ImageType") if frame.get(keyword))[:1]
    words = {word for token in tokens[2:] for word in (token, *token.split())}
    if words & {"LOCALIZER", "SCOUT", "TOPOGRAM"}:
        return Role.LOCALIZER, there
    made = words & ((NOT_ACQUIRED | NOT_ANATOMY).keys() - {"P", "R", "I"})
    if made or tokens[:1] == ["DERIVED"]:
        return Role.DERIVED, there
    return (Role.ORIGINAL if tokens[:1] == ["ORIGINAL"] else None), there
