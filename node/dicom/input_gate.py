"""What keeps a series from a pipeline whatever its geometry: images of no patient, or not what the pipeline reads.

Headers are asked first, and only for what they say outright: an attribute that is absent objects to nothing. Where
pixels were looked at, they object to what they surely are not; what they are unsure of keeps nothing out.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from node.dicom.header import Frame
from node.dicom.regions import find_regions
from node.errors import (
    AlreadyProcessed,
    NoMatchingSeries,
    NotAcquired,
    QualityControl,
    WrongAge,
    WrongBodyPart,
    WrongView,
)
from pipelines.terms import Requires, Sighting, Told, may_agree

NOT_ACQUIRED = {
    "LOCALIZER": "a localizer",
    "PROJECTION IMAGE": "a projection",
    "MIP": "a projection",
    "MINIP": "a projection",
    "MAXIMUM INTENSITY PROJECTION": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "VOLUME RENDERING": "a rendering",
    "SURFACE RENDERING": "a rendering",
    "REFORMATTED": "a reformation",
    "MPR": "a reformation",
    "CSA MPR": "a reformation",
    "SCREEN SAVE": "a screen capture",
    "SUBTRACTION": "a subtraction",
    "SUBTRACT": "a subtraction",
}
"""Values of Image Type, or of Frame Type's "how it was derived" (PS3.3 C.7.6.1.1.2, C.8.16.1.4), of what is made
from a stack rather than acquired."""
NOT_ANATOMY = {
    "P": "a phase image",
    "PHASE": "a phase image",
    "PHASE MAP": "a phase image",
    "R": "a real part",
    "REAL": "a real part",
    "I": "an imaginary part",
    "IMAGINARY": "an imaginary part",
    "VELOCITY": "a velocity map",
    "VELOCITY MAP": "a velocity map",
    "FIELD_MAP": "a field map",
    "B0 MAP": "a field map",
    "ADC": "a diffusion map",
    "FA": "a diffusion map",
}
"""Values of the same attributes in MR that stand for no picture of anatomy."""
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""The class, and with a further component its multi-frame forms."""
PROCESSING_EQUIPMENT = "109102"
"""(109102, DCM, "Processing Equipment"): an item of Contributing Equipment with it names what made the image."""
UNITS_A_YEAR = {"D": 366, "W": 53, "M": 12, "Y": 1}
"""How many of them make a year at most: nobody is made older than they are."""
REGIONS = (
    "ABDOMEN", "ANKLE", "BRAIN", "BREAST", "CHEST", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT",
    "FOREARM", "HAND", "HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LIVER", "LUNG", "MANDIBLE", "NECK",
    "ORBIT", "PELVIS", "PROSTATE", "SHOULDER", "SINUS", "SKULL", "SPINE", "THIGH", "THORAX", "TOE", "UTERUS", "WRIST",
)  # fmt: skip
"""Words by which Body Part Examined names a region (PS3.16 annex L, the usual ones); any other word says nothing."""

Test = Callable[[Frame, Requires, str], str | None]


def find_objection(frame: Frame, requires: Requires, manufacturer: str) -> NoMatchingSeries | None:
    """Why images like `frame` are not for a pipeline with `requires`, as the error by which it is refused.

    manufacturer: of the pipeline; what it made itself is not read again.
    """
    if requires.reads_anything:
        return None
    for kind, test in _TESTS:
        if (words := test(frame, requires, manufacturer)) is not None:
            return kind(words)
    return None


def find_contradiction(told: Told, seen: Sighting, requires: Requires) -> WrongBodyPart | None:
    """Why images whose pixels surely show another region than the pipeline reads are not for it; None where it reads
    any, and where pixels are unsure or may agree: a neighboring region, or one that is shown as well.
    """
    wanted = find_regions(requires.body_parts)
    if not seen.sure or not wanted or may_agree(seen.sure | seen.regions, wanted):
        return None
    shown = _list(sorted(f"a {region}" for region in seen.sure))
    said = _list(sorted(told.regions)).upper() or "nothing"
    return WrongBodyPart(f"its header names {said} as its body part, but its pixels show {shown}")


def read_image_type(frame: Frame) -> list[str]:
    """Frame Type or Image Type in capitals."""
    value: Any = frame.get("FrameType") or frame.get("ImageType") or ()
    return [str(token).strip().upper() for token in ([value] if isinstance(value, str) else value)]


def _not_acquired(frame: Frame, _requires: Requires, _manufacturer: str) -> str | None:
    """Some vendors set their product's name before: "CT_SOM5 MPR"."""
    sop_class = str(frame.header.SOPClassUID)
    if sop_class == SECONDARY_CAPTURE or sop_class.startswith(f"{SECONDARY_CAPTURE}."):
        return "it is a secondary capture"
    names = NOT_ACQUIRED | NOT_ANATOMY if _text(frame, "Modality") == "MR" else NOT_ACQUIRED
    words = (word for token in read_image_type(frame)[2:] if token for word in (token, token.split()[-1]))
    return next((f"it is {names[word]}" for word in words if word in names), None)


def _already_processed(frame: Frame, _requires: Requires, manufacturer: str) -> str | None:
    if _text(frame, "BurnedInAnnotation") == "YES":
        return "it has annotations burned in"
    for item in frame.get("ContributingEquipmentSequence") or ():
        purposes = item.get("PurposeOfReferenceCodeSequence") or ()
        made = any(purpose.get("CodeValue") == PROCESSING_EQUIPMENT for purpose in purposes)
        if made and str(item.get("Manufacturer", "")) == manufacturer:
            return f"it was made by {manufacturer} itself"
    return None


def _quality_control(frame: Frame, _requires: Requires, _manufacturer: str) -> str | None:
    marked = any(_text(frame, keyword) == "YES" for keyword in ("QualityControlImage", "QualityControlSubject"))
    return "it shows a phantom" if marked or "PHANTOM" in _text(frame, "BodyPartExamined") else None


def _wrong_body_part(frame: Frame, requires: Requires, _manufacturer: str) -> str | None:
    said = _text(frame, "BodyPartExamined").replace("_", " ")
    if not requires.body_parts or any(part in said for part in requires.body_parts):
        return None
    named = [region for region in REGIONS if region in said]
    return f"its body part is {named[0]}, not {_list(requires.body_parts)}" if named else None


def _wrong_view(frame: Frame, requires: Requires, _manufacturer: str) -> str | None:
    view = _text(frame, "ViewPosition")
    if not requires.views or not view or view in requires.views:
        return None
    return f"its view is another than {_list(requires.views)}"


def _too_young(frame: Frame, requires: Requires, _manufacturer: str) -> str | None:
    least = requires.min_age_years
    years = find_age(frame) if least is not None else None
    return f"its patient is younger than {least} years" if years is not None and least and years < least else None


def find_age(frame: Frame) -> int | None:
    """Whole years: Patient's Age (VR AS, PS3.5 6.2), else from birth to the study; None where that is not said, or
    cannot be, as where dates were shifted."""
    if said := re.fullmatch(r"(\d{3})([DWMY])", _text(frame, "PatientAge")):
        return int(said[1]) // UNITS_A_YEAR[said[2]]
    birth, study = _text(frame, "PatientBirthDate"), _text(frame, "StudyDate")
    if not all(re.fullmatch(r"\d{8}", date) for date in (birth, study)) or birth > study:
        return None
    return int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])


_TESTS: tuple[tuple[type[NoMatchingSeries], Test], ...] = (
    (NotAcquired, _not_acquired),
    (AlreadyProcessed, _already_processed),
    (QualityControl, _quality_control),
    (WrongBodyPart, _wrong_body_part),
    (WrongView, _wrong_view),
    (WrongAge, _too_young),
)


def _text(frame: Frame, keyword: str) -> str:
    return str(frame.get(keyword) or "").strip().upper()


def _list(words: Sequence[str]) -> str:
    return " or ".join(words)
