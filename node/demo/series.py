"""A made picture as a series of valid DICOM files, marked as made in every way that DICOM has for it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from node.dicom.write import write_dicom
from node.model.uid import derive_key, derive_uid
from pipelines.terms import Affine

Voxels = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What to write: voxels int16 (k, j, i), CT in HU; affine (k, j, i, 1) -> LPS mm, its axes at right angles.

    modality: "CT" or "MR". subject: one word for patient and study, e.g. "Chest". body_part: Body Part Examined.
    """

    voxels: Voxels
    affine: Affine
    modality: str
    subject: str
    body_part: str
    description: str


def write_series(picture: Picture, folder: Path, run: str, when: datetime) -> list[Path]:
    """One file for each plane of `picture` under `folder`, in plane order (PS3.3 A.3 CT, A.4 MR).

    run: another run makes another study, patient and uids; the same run makes the same files again.
    when: time of the study. Raises ValueError for another modality or oblique axes, OSError when disk fails.
    """
    if picture.modality not in _MODULES:
        raise ValueError(f"a demo series is CT or MR, not {picture.modality}")
    folder.mkdir(parents=True, exist_ok=True)
    common = _make_common(picture, run, when)
    paths = []
    for k, plane in enumerate(picture.voxels):
        image = Dataset(common)
        image.SOPInstanceUID = derive_uid("demo", run, picture.subject, "image", str(k))
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [round(float(v), 6) for v in (picture.affine @ (k, 0, 0, 1))[:3]]
        image.PixelData = np.ascontiguousarray(plane, dtype="<i2").tobytes()
        paths.append(folder / f"{k + 1:04d}.dcm")
        write_dicom(image, paths[-1])
    return paths


def _make_common(picture: Picture, run: str, when: datetime) -> Dataset:
    ds = _MODULES[picture.modality]()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.Modality = picture.modality
    _add_identity(ds, picture, run)
    _add_times(ds, when)
    _add_plane(ds, picture)
    _add_pixels(ds, picture.voxels)
    return ds


def _add_identity(ds: Dataset, picture: Picture, run: str) -> None:
    """Patient, study, series, frame and equipment. Nobody can take them for a patient's."""
    key = derive_key("demo", run, picture.subject)[:8].upper()
    ds.PatientName, ds.PatientID = f"Wetread^Demo {picture.subject}", f"WETREAD-DEMO-{key}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "DEMO", f"DEMO{key}", ""
    ds.StudyDescription, ds.SeriesDescription = "Wetread demo: no patient", picture.description
    for level, keyword in (
        ("study", "StudyInstanceUID"),
        ("series", "SeriesInstanceUID"),
        ("frame", "FrameOfReferenceUID"),
    ):
        setattr(ds, keyword, derive_uid("demo", run, picture.subject, level))
    ds.SeriesNumber, ds.AcquisitionNumber, ds.PositionReferenceIndicator = 1, 1, ""
    ds.PatientPosition, ds.BodyPartExamined = "HFS", picture.body_part
    ds.Manufacturer, ds.ManufacturerModelName = "Wetread", "demo"


def _add_times(ds: Dataset, when: datetime) -> None:
    for part in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{part}Date", when.strftime("%Y%m%d"))
        setattr(ds, f"{part}Time", when.strftime("%H%M%S"))


def _add_plane(ds: Dataset, picture: Picture) -> None:
    """Image Plane (PS3.3 C.7.6.2): row direction along i, column direction along j."""
    spacing = np.linalg.norm(picture.affine[:3, :3], axis=0)
    axes = picture.affine[:3, :3] / spacing
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-5):
        raise ValueError("the axes of a demo series are at right angles")
    k, j, i = (round(float(step), 6) for step in spacing)
    ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = [j, i], k, k
    ds.ImageOrientationPatient = [round(float(v), 6) for v in (*axes[:, 2], *axes[:, 1])]
    if picture.modality == "CT":
        del ds.SpacingBetweenSlices  # of MR Image and NM only


def _add_pixels(ds: Dataset, voxels: Voxels) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = voxels.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1


def _make_ct() -> Dataset:
    """What CT Image asks for (PS3.3 C.8.2.1), with a window to look at lungs first."""
    ds = Dataset()
    ds.SOPClassUID, ds.ImageType = CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP, ds.ConvolutionKernel, ds.ScanOptions = 120, "DEMO", "HELICAL MODE"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = [-600, 40], [1500, 400]
    ds.WindowCenterWidthExplanation = ["LUNG", "SOFT TISSUE"]
    return ds


def _make_mr() -> Dataset:
    """What MR Image asks for (PS3.3 C.8.3.1): a T1-weighted gradient echo after inversion, in three dimensions."""
    ds = Dataset()
    ds.SOPClassUID, ds.ImageType = MRImageStorage, ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = ["GR", "IR"], ["SP", "MP"], ""
    ds.MRAcquisitionType, ds.SequenceName = "3D", "*tfl3d1"
    ds.RepetitionTime, ds.EchoTime, ds.InversionTime, ds.EchoTrainLength, ds.FlipAngle = 2000, 3, 900, 1, 9
    ds.MagneticFieldStrength = 3
    ds.WindowCenter, ds.WindowWidth = 500, 1000
    return ds


_MODULES = {"CT": _make_ct, "MR": _make_mr}
