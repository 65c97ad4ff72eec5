"""Small, valid DICOM series made for a test: known geometry, known voxels, any attribute overridden or removed."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

IMPLEMENTATION = "2.25.204735211843284302871920823"


def make_slice(voxels, position, orientation=(1, 0, 0, 0, 1, 0), spacing=(1.5, 0.8, 0.7), modality="CT", **changes):
    """One image as a FileDataset. `voxels`: int16 (rows, columns), stored values. spacing: (plane, row, column) mm.

    changes: keyword = value overrides; keyword = None removes the attribute.
    """
    rows, columns = voxels.shape
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if modality == "CT" else ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate, ds.StudyTime, ds.SeriesDate, ds.SeriesTime = "20240102", "030405", "20240102", "030406"
    ds.AcquisitionDate, ds.AcquisitionTime, ds.ContentDate, ds.ContentTime = "20240102", "030407", "20240102", "030408"
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "A-1", modality, "Testmaker"
    ds.ReferringPhysicianName, ds.PatientName, ds.PatientID = "", "Test^Pat", "P-1"
    ds.PatientBirthDate, ds.PatientSex, ds.StudyID = "19700101", "O", "1"
    ds.SeriesDescription = "made for a test"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 1, 1, 1
    ds.PositionReferenceIndicator, ds.PatientPosition = "", "HFS"
    ds.ImagePositionPatient = [float(v) for v in position]
    ds.ImageOrientationPatient = [float(v) for v in orientation]
    ds.SliceThickness, ds.PixelSpacing = float(spacing[0]), [float(spacing[1]), float(spacing[2])]
    if modality == "CT":
        ds.KVP, ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 120.0, -1024.0, 1.0, "HU"
    else:
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "GR", "SP", "", "3D"
        ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.FlipAngle = 1900.0, 3.0, 1, 9.0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = rows, columns, 16, 16, 15
    ds.PixelRepresentation = 1
    ds.PixelData = np.ascontiguousarray(voxels, dtype="<i2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def make_series(
    shape=(5, 16, 18),
    spacing=(1.5, 0.8, 0.7),
    orientation=(1, 0, 0, 0, 1, 0),
    origin=(-10.0, -20.0, 30.0),
    voxels=None,
    modality="CT",
    step=None,
    **changes,
):
    """A stack of slices as FileDatasets, in spatial order along the normal.

    voxels: int16 (k, j, i) stored values; a ramp when absent. step: displacement (mm, LPS) from plane to plane;
    the normal times spacing[0] when absent (give another to tilt the gantry).
    """
    if voxels is None:
        voxels = (np.arange(np.prod(shape)).reshape(shape) % 2000).astype(np.int16)
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    step = np.cross(row, column) * spacing[0] if step is None else np.array(step, float)
    slices = []
    for k, plane in enumerate(voxels):
        ds = make_slice(plane, np.array(origin, float) + k * step, orientation, spacing, modality, **changes)
        ds.InstanceNumber = k + 1
        slices.append(ds)
    return slices


def write_series(slices: list[Dataset], folder: Path) -> list[Path]:
    """The slices as files, named so that name order is not spatial order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, ds in enumerate(slices):
        path = folder / f"{(k * 7919) % 104729:06d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
