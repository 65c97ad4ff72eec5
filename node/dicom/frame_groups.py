"""Per-Frame Functional Groups of a segmentation as bytes (PS3.3 C.7.6.16): twenty thousand frames as objects take half
a minute, their bytes take a moment. What depends on the plane alone is encoded once and shared by its segments."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from node.dicom.codes import SEGMENTATION_DERIVATION
from node.dicom.explicit_vr import encode_item, encode_sequence, encode_short
from node.dicom.functional_groups import derivation_item, frame_reference, is_multi_frame, to_ds
from node.dicom.header import find_value
from node.dicom.plain import encode_elements
from node.dicom.stack import Stack

PER_FRAME = Tag(0x52009230)


def encode_frame_groups(
    stack: Stack,
    positions: Sequence[Sequence[float]],
    planes: NDArray[np.intp],
    indices: NDArray[np.uint32],
    segments: NDArray[np.intp] | None = None,
) -> RawDataElement:
    """An item for each frame: the source frame it was derived from, its place in the dimensions and in the patient.

    positions: of all planes of the stack. planes: k of each frame. indices: Dimension Index Values, (frame, dimension).
    segments: Referenced Segment Number of each frame; None in a label map, whose frames hold all segments.
    The element is plain ASCII in Explicit VR Little Endian: pydicom writes it as it is and reads it when asked.
    """
    before = _encode_derivations(stack, [int(k) for k in np.unique(planes)])
    after = {k: _encode_position(positions[k]) for k in before}
    numbers = np.zeros(len(planes), np.intp) if segments is None else segments
    ends = {int(n): b"" if segments is None else _encode_segment(int(n)) for n in np.unique(numbers)}
    rows = indices.astype("<u4")
    value = b"".join(
        encode_item(before[k] + encode_sequence(0x00209111, encode_short(0x00209157, b"UL", row)) + after[k] + ends[n])
        for k, n, row in zip(planes.tolist(), numbers.tolist(), map(np.ndarray.tobytes, rows), strict=True)
    )
    return RawDataElement(PER_FRAME, "SQ", len(value), value, 0, False, True)


def _encode_derivations(stack: Stack, planes: Sequence[int]) -> dict[int, bytes]:
    """Derivation Image Sequence of each plane: all alike but for the source frame that they refer to."""
    item = derivation_item(stack, planes[0], SEGMENTATION_DERIVATION)
    source: Dataset = item.SourceImageSequence[0]
    del item.SourceImageSequence
    for element in frame_reference(stack, planes[0]):
        del source[element.tag]
    alike, derivation = encode_elements(source), encode_elements(item)
    return {
        k: encode_sequence(0x00089124, encode_sequence(0x00082112, _encode_reference(stack, k) + alike) + derivation)
        for k in planes
    }


def _encode_reference(stack: Stack, plane: int) -> bytes:
    """What frame_reference says, in the order of its tags."""
    index, number = stack.frames[plane]
    header = stack.headers[index]
    reference = encode_short(0x00081150, b"UI", _pad(str(find_value(header, "SOPClassUID")), b"\0"))
    reference += encode_short(0x00081155, b"UI", _pad(str(find_value(header, "SOPInstanceUID")), b"\0"))
    return reference + (encode_short(0x00081160, b"IS", _pad(str(number), b" ")) if is_multi_frame(header) else b"")


def _encode_position(position: Sequence[float]) -> bytes:
    value = _pad("\\".join(str(to_ds(coordinate)) for coordinate in position), b" ")
    return encode_sequence(0x00209113, encode_short(0x00200032, b"DS", value))


def _pad(text: str, filler: bytes) -> bytes:
    """ASCII of even length."""
    value = text.encode("ascii", "replace")
    return value + filler if len(value) % 2 else value


def _encode_segment(number: int) -> bytes:
    return encode_sequence(0x0062000A, encode_short(0x0062000B, b"US", number.to_bytes(2, "little")))
