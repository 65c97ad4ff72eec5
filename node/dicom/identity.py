"""Which instance a file is: the few attributes that the door needs, read without pixel data."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from node.dicom.deflate import DEFLATED
from node.dicom.header import DAMAGE, is_damage
from node.dicom.search import Inflated, Plain, search
from node.dicom.walk import find_values
from node.errors import CannotUnderstand

KEYWORDS = {
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
}
TAGS = tuple(KEYWORDS.values())
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"

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


LONGEST_META = 1 << 16
HEAD_BYTES = 1 << 16
"""So much of a dataset is looked at for its identity before the file is searched."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an instance is, and in which transfer syntax it came."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str

    @property
    def is_image(self) -> bool:
        return self.sop_class_uid not in NO_IMAGES and not self.sop_class_uid.startswith(NO_IMAGE_FAMILIES)


def read_identity(path: Path, begin: tuple[str, int] | None = None) -> Identity:
    """The identity of a Part 10 file. begin: what `read_syntax` says of it, where that is known.

    Raises CannotUnderstand when it is none, or a uid is absent or no UID (PS3.5 9.1).
    """
    syntax, offset = begin or read_syntax(path)
    with path.open("rb") as file:
        file.seek(offset)
        identity = find_identity(file.read(HEAD_BYTES), syntax)
    return identity or _search_identity(path, syntax, offset)


def read_sender(path: Path) -> str:
    """Sending Application Entity Title of a Part 10 file (PS3.10 7.1), "" when it does not say."""
    return str(read_file_meta_info(path).get("SendingApplicationEntityTitle") or "").strip()


def read_syntax(path: Path) -> tuple[str, int]:
    """Transfer syntax of a Part 10 file, and where its dataset begins (PS3.10 7.1). Raises CannotUnderstand."""
    offset = _dataset_offset(path)
    try:
        return str(read_file_meta_info(path).TransferSyntaxUID), offset
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise CannotUnderstand(f"the File Meta Information cannot be read ({type(error).__name__})") from None


def find_identity(head: bytes | bytearray, syntax: str) -> Identity | None:
    """The identity of a dataset that begins with `head`, at the price of a walk over a few dozen tags; None where that
    does not suffice (big endian, a longer way to the uids) and the file must be searched.

    Raises CannotUnderstand when a uid is no UID.
    """
    if syntax == EXPLICIT_BIG_ENDIAN:
        return None
    if syntax in DEFLATED:
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD_BYTES)
        except zlib.error:
            return None
    values = find_values(head, TAGS, explicit=syntax != IMPLICIT)
    if values is None:
        return None
    return _to_identity(values, syntax)


def _search_identity(path: Path, syntax: str, offset: int) -> Identity:
    """By a walk over the whole dataset; where its bytes are not as its syntax says, in the other VR encoding."""
    little = syntax != EXPLICIT_BIG_ENDIAN
    explicit = syntax != IMPLICIT
    try:
        values = _search(path, syntax, offset, explicit=explicit, little=little)
    except CannotUnderstand:
        if not little:
            raise
        values = _search(path, syntax, offset, explicit=not explicit, little=little)
    return _to_identity(values, syntax)


def _search(path: Path, syntax: str, offset: int, *, explicit: bool, little: bool) -> dict[int, bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        source = Inflated(file) if syntax in DEFLATED else Plain(file)
        try:
            return search(source, TAGS, explicit=explicit, little=little)
        except (struct.error, zlib.error) as error:
            raise CannotUnderstand(f"not a readable DICOM dataset ({type(error).__name__})") from None


def _to_identity(values: dict[int, bytes], syntax: str) -> Identity:
    uids = [_check(word, values.get(tag, b"").rstrip(b"\0 ").decode("latin-1")) for word, tag in KEYWORDS.items()]
    return Identity(uids[0], uids[1], uids[2], uids[3], syntax)


def _check(keyword: str, value: str) -> str:
    if not value:
        raise CannotUnderstand(f"{keyword} is absent")
    if len(value) > 64 or value.strip("0123456789.") or value.startswith("."):
        raise CannotUnderstand(f"{keyword} is not a UID")
    return value


def _dataset_offset(path: Path) -> int:
    """128 bytes preamble, "DICM", then (0002,0000) UL says how long the rest of the group is (PS3.10 7.1)."""
    with path.open("rb") as file:
        head = file.read(144)
    if len(head) < 144 or head[128:136] != b"DICM\x02\0\0\0":
        raise CannotUnderstand("no File Meta Information")
    length = int(struct.unpack_from("<I", head, 140)[0])
    if length > LONGEST_META:
        raise CannotUnderstand(f"File Meta Information of {length} bytes")
    return 144 + length
