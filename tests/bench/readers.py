"""The ways of loading a series that are compared: each takes the files of it and returns its voxels."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.dicom.pixels import read_planes
from node.dicom.stacking import read_stacks
from node.dicom.volume import SHARE, THREADS, load_volume

BUFFER = 1 << 20  # bytes, more than any file of one slice


@dataclass(frozen=True)
class Way:
    """A way of loading, under its name in the figures.

    load: paths -> voxels. scans: the kinds of files that it is measured with. needs: a package that must be there.
    """

    name: str
    title: str
    load: Callable[[list[Path]], object]
    scans: tuple[str, ...] = ("ct",)
    needs: str = ""


def read_bytes(paths):
    """Every file's bytes, as Python reads files, in as many threads as we use; all of them are kept."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(Path.read_bytes, paths))


def fill_array(paths):
    """The same bytes, by the least that a program can do: into one array that is allocated at once."""
    bytes_read = np.empty((len(paths), BUFFER), np.uint8)

    def fill(first):
        for n in range(first, min(first + SHARE, len(paths))):
            descriptor = os.open(paths[n], os.O_RDONLY)
            os.preadv(descriptor, [bytes_read[n]], 0)
            os.close(descriptor)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(0, len(paths), SHARE)))
    return bytes_read


def load_stored_by_wetread(paths):
    """int16 stored values in the right order: read_stacks, and read_planes in the threads that load_volume uses."""
    (stack,), _ = read_stacks(paths)
    stored = np.empty(stack.shape, np.int16)

    def fill(first):
        for k in range(first, min(first + SHARE, stack.shape[0])):
            index, number = stack.frames[k]
            (stored[k],) = read_planes(stack.paths[index], stack.headers[index], [number])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(0, stack.shape[0], SHARE)))
    return stored


def load_volume_by_wetread(paths):
    """float32 HU, as a worker loads it: all checks included."""
    (stack,), _ = read_stacks(paths)
    return load_volume(stack).voxels


def load_stored_by_pydicom(paths):
    """int16 as nearly everybody writes it."""
    return np.stack([dataset.pixel_array for dataset in _read_sorted(paths)])


def load_volume_by_pydicom(paths):
    """float32 HU as nearly everybody writes it: of integers times a Python float numpy makes float64."""
    planes = [
        dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        for dataset in _read_sorted(paths)
    ]
    return np.stack(planes).astype(np.float32)


def load_float32_by_pydicom(paths):
    """float32 HU as few write it, in float32 from the start."""
    planes = [
        dataset.pixel_array.astype(np.float32) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        for dataset in _read_sorted(paths)
    ]
    return np.stack(planes)


def load_frames_by_pydicom(paths):
    """float32 HU of one enhanced image; its frames are stored in order."""
    dataset = dcmread(paths[0])
    rescale = [groups.PixelValueTransformationSequence[0] for groups in dataset.PerFrameFunctionalGroupsSequence]
    return np.stack(
        [
            frame.astype(np.float32) * float(values.RescaleSlope) + float(values.RescaleIntercept)
            for frame, values in zip(dataset.pixel_array, rescale, strict=True)
        ]
    )


def load_by_monai(reader):
    """float32 with LoadImage and one of its readers, which takes the folder."""

    def load(paths):
        from monai.transforms import LoadImage

        return LoadImage(reader=reader, image_only=True)(paths[0].parent)

    return load


def _read_sorted(paths):
    return sorted(map(dcmread, paths), key=lambda dataset: float(dataset.ImagePositionPatient[2]))


WAYS = (
    Way("bytes", "every file's bytes", read_bytes),
    Way("array", "the same bytes into one array", fill_array),
    Way("wetread-stored", "Wetread, int16", load_stored_by_wetread),
    Way("pydicom-stored", "pydicom, int16", load_stored_by_pydicom),
    Way("wetread", "Wetread, float32 HU", load_volume_by_wetread, ("ct", "jpeg", "frames")),
    Way("pydicom", "pydicom, float32 HU", load_volume_by_pydicom, ("ct", "jpeg")),
    Way("pydicom-float32", "pydicom, float32 HU without float64", load_float32_by_pydicom),
    Way("pydicom", "pydicom, float32 HU", load_frames_by_pydicom, ("frames",)),
    Way("monai-pydicom", "MONAI LoadImage, PydicomReader", load_by_monai("PydicomReader"), needs="monai"),
    Way("monai-itk", "MONAI LoadImage, ITKReader", load_by_monai("ITKReader"), needs="itk"),
)


def find_missing():
    """The packages that are not here and what is left out without them."""
    return {way.needs: way.title for way in WAYS if way.needs and find_spec(way.needs) is None}
