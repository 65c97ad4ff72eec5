"""The images that are sent: synthetic, valid, with headers as long as a scanner's. Nobody's data."""

import zlib
from functools import cache

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

FRAMES = 800  # of 512 x 512 x 2 bytes: 419 MB

EVERY = {
    "SpecificCharacterSet": "ISO_IR 192",
    "InstanceCreationDate": "20240102",
    "InstanceCreationTime": "101010.123000",
    "StudyDate": "20240102",
    "SeriesDate": "20240102",
    "AcquisitionDate": "20240102",
    "ContentDate": "20240102",
    "StudyTime": "101001.000000",
    "SeriesTime": "101005.500000",
    "AcquisitionTime": "101010.123000",
    "ContentTime": "101011.456000",
    "AccessionNumber": "BENCH0001",
    "Manufacturer": "Synthetic Systems",
    "InstitutionName": "General Hospital of Nowhere",
    "InstitutionAddress": "1 Loopback Road",
    "ReferringPhysicianName": "Referrer^Robin^^Dr",
    "StationName": "SCANNER01",
    "PhysiciansOfRecord": "Record^Riley",
    "PerformingPhysicianName": "Performer^Pat",
    "OperatorsName": "Operator^Olly",
    "ManufacturerModelName": "Phantom 9000",
    "PatientName": "Phantom^Test^Image",
    "PatientID": "BENCH-PID-1",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "PatientAge": "054Y",
    "PatientSize": "1.75",
    "PatientWeight": "80",
    "AdditionalPatientHistory": "none, made for a measurement",
    "DeviceSerialNumber": "000123",
    "SoftwareVersions": ["1.0", "phantom"],
    "ProtocolName": "Thorax and abdomen",
    "PatientPosition": "HFS",
    "StudyID": "1",
    "AcquisitionNumber": 1,
    "PositionReferenceIndicator": "SN",
    "ImageComments": "synthetic",
    "RequestedProcedureDescription": "CT of thorax and abdomen",
    "PerformedProcedureStepStartDate": "20240102",
    "PerformedProcedureStepStartTime": "101001.000000",
    "PerformedProcedureStepID": "STEP1",
    "PerformedProcedureStepDescription": "Thorax and abdomen",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 1,
}
PLANE = {
    "StudyDescription": "Thorax and abdomen",
    "SeriesDescription": "axial 1.0",
    "BodyPartExamined": "CHEST",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SliceThickness": "1",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.8, 0.8],
    "WindowCenter": [40, -600],
    "WindowWidth": [400, 1500],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
}
CT = {
    "Modality": "CT",
    "SOPClassUID": CTImageStorage,
    "ScanOptions": "HELICAL MODE",
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "ReconstructionDiameter": "400",
    "DistanceSourceToDetector": "1085.6",
    "DistanceSourceToPatient": "595",
    "GantryDetectorTilt": "0",
    "TableHeight": "150",
    "RotationDirection": "CW",
    "ExposureTime": 500,
    "XRayTubeCurrent": 200,
    "Exposure": 100,
    "FilterType": "FLAT",
    "GeneratorPower": 60,
    "FocalSpots": "1.2",
    "ConvolutionKernel": "B30f",
    "SpiralPitchFactor": 0.9,
    "CTDIvol": 7.5,
    "RescaleType": "HU",
}
MR = {
    "Modality": "MR",
    "SOPClassUID": MRImageStorage,
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "RepetitionTime": "1900",
    "EchoTime": "3",
    "EchoTrainLength": 1,
    "FlipAngle": "9",
    "MagneticFieldStrength": "3",
    "ImagingFrequency": "123.2",
}
SLICES = {"ct": (CT, 512), "mr": (MR, 256)}
PIXELS = {"ct": 512 * 512 * 2, "mr": 256 * 256 * 2, "frames": FRAMES * 512 * 512 * 2}  # bytes, the last of a file


def write_slices(kind, count, folder):
    """`count` images of one series as files; kind: "ct" (0.5 MB each) or "mr" (0.13 MB). Returns their paths."""
    header, size = SLICES[kind]
    study, series, frame = generate_uid(None), generate_uid(None), generate_uid(None)
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        image = _make(EVERY | PLANE | header, study, series, frame)
        image.SeriesNumber, image.InstanceNumber = 2, number + 1
        image.ImagePositionPatient, image.SliceLocation = [-200, -200, float(number)], float(number)
        image.Rows = image.Columns = size
        image.PixelData = np.roll(_noise(size), number * 7, axis=0).tobytes()
        paths.append(folder / f"{number:06d}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_frames(folder):
    """One Enhanced CT image of 800 frames, 419 MB."""
    folder.mkdir(parents=True)
    image = _make(
        EVERY | {"Modality": "CT", "SOPClassUID": EnhancedCTImageStorage}, *(generate_uid(None) for _ in range(3))
    )
    image.SeriesNumber = image.InstanceNumber = 1
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.NumberOfFrames, image.Rows, image.Columns = FRAMES, 512, 512
    measures = _item(PixelSpacing=[0.8, 0.8], SliceThickness="1")
    orientation = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    image.SharedFunctionalGroupsSequence = [
        _item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])
    ]
    image.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=[-200, -200, float(number)])],
            FrameContentSequence=[_item(InStackPositionNumber=number + 1, StackID="1")],
        )
        for number in range(FRAMES)
    ]
    image.PixelData = b"".join(np.roll(_noise(512), number, axis=0).tobytes() for number in range(FRAMES))
    path = folder / "frames.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def to_digests(kind, paths):
    """Checksums of the pixels of files of one kind: what must arrive as it was sent, whatever header is written."""
    return {to_digest(kind, path) for path in paths}


def to_digest(kind, path):
    """Checksum of the pixels of one file."""
    digest = 0
    with path.open("rb") as file:
        file.seek(-PIXELS[kind], 2)
        while chunk := file.read(1 << 20):
            digest = zlib.crc32(chunk, digest)
    return digest


def _make(header, study, series, frame):
    """2.25 UIDs end in digits, which sender.c counts up."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in header.items():
        setattr(image, keyword, value)
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
    image.SOPInstanceUID = generate_uid(None)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return image


@cache
def _noise(size):
    """Stored values as a detector's noise gives them: incompressible enough that nobody gains by luck."""
    return np.random.default_rng(size).normal(1000, 200, (size, size)).astype("<i2")


def _item(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
