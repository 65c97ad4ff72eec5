"""Which part of the body images show, as a code, from the word of Body Part Examined (PS3.16 annex L, table L-1)."""

from pydicom import Dataset

from node.dicom.codes import to_concept
from node.dicom.context import copy_valid
from node.dicom.functional_groups import make_item
from pipelines.terms import Code

REGIONS = {
    "ABDOMEN": Code("818981001", "SCT", "Abdomen"),
    "BRAIN": Code("12738006", "SCT", "Brain"),
    "BREAST": Code("76752008", "SCT", "Breast"),
    "CHEST": Code("816094009", "SCT", "Chest"),
    "CHESTABDPELVIS": Code("416775004", "SCT", "Chest, Abdomen and Pelvis"),
    "HEAD": Code("69536005", "SCT", "Head"),
    "HEART": Code("80891009", "SCT", "Heart"),
    "HIP": Code("29836001", "SCT", "Hip"),
    "KNEE": Code("72696002", "SCT", "Knee"),
    "LIVER": Code("10200004", "SCT", "Liver"),
    "LUNG": Code("39607008", "SCT", "Lung"),
    "NECK": Code("45048000", "SCT", "Neck"),
    "PELVIS": Code("816092008", "SCT", "Pelvis"),
    "PROSTATE": Code("41216001", "SCT", "Prostate"),
    "SHOULDER": Code("16982005", "SCT", "Shoulder"),
    "SPINE": Code("421060004", "SCT", "Spine"),
}
WHOLE_BODY = Code("38266002", "SCT", "Entire body")
"""What surely holds the part that is shown, where the images do not say which it is."""


def frame_anatomy(source: Dataset) -> Dataset:
    """An item of Frame Anatomy Sequence (PS3.3 C.7.6.16.2.8) for all frames that show what `source` shows."""
    said = copy_valid(source, ["BodyPartExamined", "Laterality"])
    side = said.get("Laterality", "")
    return make_item(
        AnatomicRegionSequence=[to_concept(REGIONS.get(str(said.get("BodyPartExamined", "")), WHOLE_BODY))],
        FrameLaterality=side if side in {"R", "L"} else "U",
    )
