"""What a de-identifier must know of an object with a picture in it (PS3.3 C.7.6.1)."""

from pydicom import Dataset

from node.dicom.context import copy_valid

FACELESS = frozenset(
    {"ABDOMEN", "ANKLE", "BREAST", "CHEST", "ELBOW", "FOOT", "HAND", "HEART", "HIP", "KNEE", "LIVER", "LUNG", "PELVIS",
     "PROSTATE", "SHOULDER", "THORAX", "WRIST"}
)  # fmt: skip
"""Body parts (PS3.16 annex L) whose planes show no face. Of a head it depends on the planes: nothing is said then."""


def add_privacy(ds: Dataset, source: Dataset) -> None:
    """Burned In Annotation is YES: there are words on it, which are to be looked at even where none names the patient.

    Recognizable Visual Features are what `source` says of its own; NO where ds.BodyPartExamined has no face; left out,
    which says that there may be some, where neither is known.
    """
    ds.BurnedInAnnotation = "YES"
    stated = copy_valid(source, ["RecognizableVisualFeatures"]).get("RecognizableVisualFeatures")
    if stated in {"YES", "NO"}:
        ds.RecognizableVisualFeatures = stated
    elif ds.get("BodyPartExamined") in FACELESS:
        ds.RecognizableVisualFeatures = "NO"
