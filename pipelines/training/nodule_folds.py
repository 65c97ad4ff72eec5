"""The pictures of pipelines.training.nodule_cases in parts that share no patient."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIDC = "lidc"


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What is known of each picture, one entry each; see nodule_cases.Picture."""

    views: NDArray[np.uint8]
    source: NDArray[np.str_]
    patient: NDArray[np.str_]
    nodule: NDArray[np.int64]
    malignancy: NDArray[np.int64]
    texture: NDArray[np.int64]
    diameter_mm: NDArray[np.float64]
    reference_mm: NDArray[np.float64]

    def pick(self, which: NDArray[np.bool_]) -> "Pictures":
        """Those where `which` is True."""
        return Pictures(*(getattr(self, name)[which] for name in self.__slots__))


def load_pictures(path: Path) -> Pictures:
    """The pictures that nodule_cases wrote."""
    with np.load(path) as data:
        return Pictures(*(data[name] for name in Pictures.__slots__))


def assign_folds(pictures: Pictures, folds: int) -> NDArray[np.int64]:
    """The fold of each picture, 0 to folds - 1: by patient. LIDC's by a checksum of the patient, scanned patients in
    turn."""
    scanned = sorted(set(pictures.patient[pictures.source != LIDC]))
    turn = {patient: number % folds for number, patient in enumerate(scanned)}
    return np.array([turn.get(name, zlib.crc32(name.encode()) % folds) for name in pictures.patient.tolist()])
