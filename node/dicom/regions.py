"""Words for regions of the body, as headers have them."""

import re
from collections.abc import Iterable

from pipelines.terms import Region

HEAD, NECK, CHEST, ABDOMEN, PELVIS, SPINE, ARM, LEG = Region

STEMS: dict[str, tuple[Region, ...]] = {
    "HEAD": (HEAD,), "BRAIN": (HEAD,), "SKULL": (HEAD,), "ORBIT": (HEAD,), "SINUS": (HEAD,), "JAW": (HEAD,),
    "MANDIBLE": (HEAD,), "FACE": (HEAD,), "FACIAL": (HEAD,), "CRANI": (HEAD,),
    "NECK": (NECK,), "LARYNX": (NECK,), "THYROID": (NECK,), "CSPINE": (NECK, SPINE),
    "CHEST": (CHEST,), "THORAX": (CHEST,), "THORACIC": (CHEST,), "LUNG": (CHEST,), "HEART": (CHEST,),
    "CORONAR": (CHEST,), "PULMON": (CHEST,), "BREAST": (CHEST,), "STERNUM": (CHEST,), "TSPINE": (CHEST, SPINE),
    "ABD": (ABDOMEN,), "LIVER": (ABDOMEN,), "KIDNEY": (ABDOMEN,), "PANCREAS": (ABDOMEN,), "SPLEEN": (ABDOMEN,),
    "LSPINE": (ABDOMEN, SPINE),
    "PELV": (PELVIS,), "PROSTATE": (PELVIS,), "UTERUS": (PELVIS,), "BLADDER": (PELVIS,), "HIP": (PELVIS, LEG),
    "SPINE": (SPINE,),
    "SHOULDER": (ARM,), "CLAVICLE": (ARM, CHEST), "HUMERUS": (ARM,), "ELBOW": (ARM,), "FOREARM": (ARM,),
    "WRIST": (ARM,), "HAND": (ARM,), "FINGER": (ARM,),
    "FEMUR": (LEG,), "THIGH": (LEG,), "KNEE": (LEG,), "ANKLE": (LEG,), "FOOT": (LEG,), "TOE": (LEG,),
    "EXTREMITY": (ARM, LEG), "WHOLEBODY": tuple(Region), "WHOLE BODY": tuple(Region),
}  # fmt: skip
"""Beginnings of words in capitals -> what they name."""
SHORT = {"PEL": (PELVIS,), "CAP": (CHEST, ABDOMEN, PELVIS), "ARM": (ARM,), "LEG": (LEG,)}
"""Whole words."""
BEARINGS = re.compile(r"\b(HEAD|FEET) FIRST\b")
"""How the patient lay."""


def find_regions(values: Iterable[str]) -> frozenset[Region]:
    """The regions that values of Body Part Examined name, whose words are often run together: CHESTABDPELVIS."""
    said = [value.upper().replace("_", " ").strip() for value in values]
    found = {region for value in said for stem, regions in STEMS.items() if stem in value for region in regions}
    return frozenset(found | {region for value in said for region in SHORT.get(value, ())})


def find_hints(description: str) -> frozenset[Region]:
    """The regions that a description names, whose words stand apart."""
    words = re.findall(r"[A-Z]+", BEARINGS.sub(" ", description.upper()))
    stems = {region for word in words for stem in STEMS if word.startswith(stem) for region in STEMS[stem]}
    return frozenset(stems | {region for word in words for region in SHORT.get(word, ())})
