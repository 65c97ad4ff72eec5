"""Whether a derived series says which side of the body it shows (PS3.3 C.7.3.1, Laterality (0020,0060), type 2C)."""

from pydicom import Dataset

from node.dicom.context import copy_valid

UNPAIRED = (
    "ABDOMEN ABDOMENPELVIS AORTA BACK BLADDER BRAIN CEREBELLUM CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS "
    "CIRCLEOFWILLIS COCCYX COLON CORONARYARTERY CSPINE CTSPINE DUODENUM ESOPHAGUS FACE GALLBLADDER HEAD "
    "HEADNECK HEART ILEUM ILIUM JAW JEJUNUM LARYNX LIVER LSPINE LSSPINE MAXILLA MEDIASTINUM MOUTH NECK "
    "NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE PANCREAS PELVIS PENIS PHARYNX PROSTATE RECTUM SCALP "
    "SKULL SPINE SPLEEN SSPINE STERNUM STOMACH THYMUS THYROID TLSPINE TONGUE TRACHEA TSPINE URETER URETHRA "
    "UTERUS VAGINA VULVA WHOLEBODY"
)
"""Body parts that there is one of (PS3.16 annex L). Of any other word it must be assumed that there may be two."""


def add_laterality(ds: Dataset, source: Dataset) -> None:
    """Laterality as `source` has it, empty when it has none; and no Laterality where the body part of `ds` is single.

    For series whose content does not name a side by itself; ds.BodyPartExamined must be there already, if at all.
    """
    if str(ds.get("BodyPartExamined", "")) in UNPAIRED.split():
        return
    side = copy_valid(source, ["Laterality"]).get("Laterality", "")
    ds.Laterality = side if side in {"R", "L"} else ""
