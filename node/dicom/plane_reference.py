"""Planes of a stack named as what they are for a PACS: instances, and of multi-frame instances the frames."""

from collections.abc import Iterable

from pydicom import Dataset

from node.dicom.header import count_frames
from node.dicom.stack import Stack


def reference_planes(stack: Stack, planes: Iterable[int]) -> list[Dataset]:
    """One item of an image reference (PS3.3 table 10-3) for each instance that holds one of `planes`, in the order of
    the planes; Referenced Frame Number, ascending, where the instance has more frames than one."""
    frames: dict[int, list[int]] = {}
    for k in planes:
        index, number = stack.frames[k]
        frames.setdefault(index, []).append(number)
    return [_reference(stack.headers[index], sorted(set(numbers))) for index, numbers in frames.items()]


def find_headers(stack: Stack, planes: Iterable[int]) -> list[Dataset]:
    """The source instances that hold `planes`, each once, in the order of the planes."""
    return [stack.headers[index] for index in dict.fromkeys(stack.frames[k][0] for k in planes)]


def _reference(header: Dataset, numbers: list[int]) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    if count_frames(header) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        item.ReferencedFrameNumber = numbers if len(numbers) > 1 else numbers[0]
    return item
