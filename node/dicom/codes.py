"""The coded concepts that our result objects speak with (PS3.16), and how a Code becomes an item of a Code Sequence."""

from highdicom.sr import CodedConcept
from pydicom import Dataset

from pipelines.terms import Code

# Contributing equipment and algorithms: CID 7005, CID 7162
ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# How a segmentation frame came from its image: CID 7203, CID 7202
SEGMENTATION_DERIVATION = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

# What a report is to the one before it: CID 7009
REPLACED_REPORT = Code("121360", "DCM", "Replaced report")

# TID 1500 and the templates in it: TID 1204, 1002, 1004, 1600, 1501, 1410, 1411, 1419, 300, 4019
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
OBSERVER_NAME = Code("121013", "DCM", "Device Observer Name")
OBSERVER_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
OBSERVER_MODEL = Code("121015", "DCM", "Device Observer Model Name")
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
DEVICE = Code("121007", "DCM", "Device")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
FRAME_OF_REFERENCE_UID = Code("112227", "DCM", "Frame of Reference UID")
LIBRARY_IMAGE = Code("260753009", "SCT", "Source")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
LATERALITY = Code("272741003", "SCT", "Laterality")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_FAMILY = Code("111000", "DCM", "Algorithm Family")
REFERENCED_SEGMENT = Code("121191", "DCM", "Referenced Segment")
SEGMENTATION_SOURCE_SERIES = Code("121232", "DCM", "Source series for segmentation")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
SOURCE_OF_MEASUREMENT = Code("121112", "DCM", "Source of Measurement")
DERIVATION = Code("121401", "DCM", "Derivation")
METHOD = Code("370129005", "SCT", "Measurement Method")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")

# Linear measurements: CID 7470. Written as cornerstone's adapters look for them, by meaning and with a capital A
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
MILLIMETER = Code("mm", "UCUM", "millimeter")

# Images that go with a report: a section of CID 7010's, in which each is named by what it shows
KEY_IMAGES = Code("121180", "DCM", "Key Images")

# Whether a thing that was looked for is there: CID 240
PRESENCE = Code("121052", "DCM", "Presence of property")
ABSENT = Code("2667000", "SCT", "Absent")

# How the run as a whole ended: CID 6047
OUTCOME = Code("111017", "DCM", "CAD Processing and Findings Summary")
WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
DID_NOT_RUN = Code("111245", "DCM", "No algorithms succeeded; without findings")

# Why it did not run: DICOM has reasons for this or that, but no concept for a reason that an algorithm gives
REASON = Code("REFUSALREASON", "99WETREAD", "Reason for refusal")

# CID 29, the modalities that make volumes
MODALITIES = {
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
    "NM": Code("NM", "DCM", "Nuclear Medicine"),
}

ENGLISH = Code("en", "RFC5646", "English")


def to_concept(code: Code) -> CodedConcept:
    """`code` as an item of a Code Sequence (PS3.3 table 8.8-1)."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def find_code(item: Dataset | None) -> Code | None:
    """The Code in an item of a Code Sequence written by anyone; None when there is none.

    What is longer than a Code may be (Long Code Value, URN Code Value) is cut and ends in an ellipsis.
    """
    if item is None:
        return None
    value = next((item.get(k) for k in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.get(k)), None)
    scheme, meaning = item.get("CodingSchemeDesignator"), item.get("CodeMeaning")
    if not value or not (scheme or "URNCodeValue" in item):
        return None
    return Code(_cut(value, 16), _cut(scheme or "URN", 16), _cut(meaning or value, 64))


def _cut(text: object, limit: int) -> str:
    whole = str(text)
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"
