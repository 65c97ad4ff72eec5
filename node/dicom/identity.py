"""Which instance a file is: the few attributes that the door needs, read without pixel data."""

import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from node.errors import CannotUnderstand

KEYWORDS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]

NO_IMAGES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66",  # Raw Data
        "1.2.840.10008.5.1.4.1.1.66.1",  # Spatial Registration
        "1.2.840.10008.5.1.4.1.1.66.2",  # Spatial Fiducials
        "1.2.840.10008.5.1.4.1.1.66.3",  # Deformable Spatial Registration
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.5",  # Surface Segmentation
        "1.2.840.10008.5.1.4.1.1.66.6",  # Tractography Results
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.67",  # Real World Value Mapping
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    }
)
"""Storage classes that speak about images. With the families below they are kept but never open a study for work."""

NO_IMAGE_FAMILIES = (
    "1.2.840.10008.5.1.4.1.1.11.",  # Presentation States
    "1.2.840.10008.5.1.4.1.1.88.",  # Structured Reports, Key Objects
    "1.2.840.10008.5.1.4.1.1.104.",  # Encapsulated Documents
    "1.2.840.10008.5.1.4.1.1.9.",  # Waveforms
    "1.2.840.10008.5.1.4.1.1.481.",  # Radiotherapy (RT Image is no input of a pipeline either)
    "1.2.840.10008.5.1.4.34.",  # Radiotherapy delivery, UPS
)


@dataclass(frozen=True, slots=True)
class Identity:
    """offset: where the dataset begins, behind the File Meta Information."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    offset: int

    @property
    def is_image(self) -> bool:
        return self.sop_class_uid not in NO_IMAGES and not self.sop_class_uid.startswith(NO_IMAGE_FAMILIES)


def read_identity(path: Path) -> Identity:
    """The identity of a Part 10 file.

    Raises CannotUnderstand when it is none, or a uid is absent or no UID (PS3.5 9.1).
    """
    try:
        dataset = dcmread(path, specific_tags=list(KEYWORDS), stop_before_pixels=True)
        uids = [_uid(dataset, keyword) for keyword in KEYWORDS]
        syntax = str(dataset.file_meta.TransferSyntaxUID)
    except CannotUnderstand:
        raise
    except Exception as error:
        raise CannotUnderstand(f"not a readable DICOM dataset ({type(error).__name__})") from error
    return Identity(uids[0], uids[1], uids[2], uids[3], syntax, _dataset_offset(path))


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword, "") or "")
    if not value:
        raise CannotUnderstand(f"{keyword} is absent")
    if len(value) > 64 or not UID(value, validation_mode=0).replace(".", "").isdigit():
        raise CannotUnderstand(f"{keyword} is not a UID")
    return value


def _dataset_offset(path: Path) -> int:
    """128 bytes preamble, "DICM", then (0002,0000) UL says how long the rest of the group is (PS3.10 7.1)."""
    with path.open("rb") as file:
        head = file.read(144)
    if len(head) < 144 or head[128:136] != b"DICM\x02\0\0\0":
        raise CannotUnderstand("no File Meta Information")
    return 144 + int(struct.unpack_from("<I", head, 140)[0])
