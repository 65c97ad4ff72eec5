"""The CT series that is loaded: 512 x 512 slices with headers as a scanner writes them. Synthetic; nobody's data."""

from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
from images import CT, EVERY, PLANE
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    generate_uid,
)

SIZE = 512
SPACING = 0.8
PRIVATE = 24
"""Elements in the private block, some long: vendors keep reconstruction tables there."""
THREADS = 2


def write_slices(folder, count, syntax=ExplicitVRLittleEndian):
    """`count` slices of one series, in an order of names that is not their order in space; returns the paths."""
    folder.mkdir(parents=True)
    voxels = _Body(count)
    series = [generate_uid(None) for _ in range(3)]
    order = np.random.default_rng(3).permutation(count)

    def write(number):
        image = _make_slice(number, series)
        data = voxels[number]
        if syntax == JPEGLosslessSV1:
            frame = imagecodecs.jpeg8_encode(data.view(np.uint16), lossless=True, predictor=1, bitspersample=16)
            image.PixelData = encapsulate([frame])
            image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        else:
            image.PixelData = data.tobytes()
        image.file_meta.TransferSyntaxUID = UID(syntax)
        path = folder / f"{order[number]:06d}.dcm"
        image.save_as(path, enforce_file_format=True)
        return path

    with ThreadPoolExecutor(THREADS) as pool:
        return sorted(pool.map(write, range(count)))


def write_frames(folder, count):
    """The same slices as one Enhanced CT of `count` frames, each with its functional groups; returns the path."""
    folder.mkdir(parents=True)
    voxels = _Body(count)
    image = _make(CTImageStorage, [generate_uid(None) for _ in range(3)])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    image.InstanceNumber, image.NumberOfFrames = 1, count
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(image, keyword)
    shared = {
        "PixelMeasuresSequence": {"PixelSpacing": [SPACING, SPACING], "SliceThickness": "1"},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        "CTExposureSequence": {"ExposureTimeInms": 500.0, "XRayTubeCurrentInmA": 200.0, "ExposureInmAs": 100.0},
    }
    image.SharedFunctionalGroupsSequence = [_item({key: [_item(values)] for key, values in shared.items()})]
    image.PerFrameFunctionalGroupsSequence = [_groups(number) for number in range(count)]
    image.PixelData = b"".join(voxels[number].tobytes() for number in range(count))
    path = folder / "frames.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


class _Body:
    """Stored values of slice after slice: something round in air, with a detector's noise, that no two share."""

    def __init__(self, count):
        j, i = np.mgrid[:SIZE, :SIZE]
        self.distance = np.hypot(j - SIZE / 2, (i - SIZE / 2) * 0.7)
        self.noise = np.random.default_rng(7).normal(0, 12, (SIZE, SIZE))
        self.count = count

    def __getitem__(self, number):
        inside = self.distance < 150 + 40 * np.sin(number / self.count * np.pi)
        values = np.where(inside, 1064, 24) + np.roll(self.noise, number * 13)
        return np.clip(np.rint(values), 0, 4095).astype("<i2")


def _make_slice(number, series):
    image = _make(CTImageStorage, series)
    image.InstanceNumber = number + 1
    image.ImagePositionPatient, image.SliceLocation = [-204.8, -204.8, 1.25 * number - 300.5], 1.25 * number - 300.5
    image.AcquisitionTime = image.ContentTime = f"1010{10 + number // 20:02d}.{number * 37 % 1000:03d}000"
    image.TableHeight, image.XRayTubeCurrent = f"{150 + number % 7 / 10:.1f}", 180 + number % 40
    image.Exposure = 90 + number % 20
    return image


def _make(kind, series):
    """Everything that slices say alike: some 130 elements, sequences and a private block among them."""
    meta = FileMetaDataset()
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in (EVERY | PLANE | CT | MORE).items():
        setattr(image, keyword, value)
    for keyword, items in SEQUENCES.items():
        setattr(image, keyword, [_item(values) for values in items])
    image.SOPClassUID, image.SOPInstanceUID, image.SeriesNumber = kind, generate_uid(None), 2
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = series
    image.Rows = image.Columns = SIZE
    block = image.private_block(0x0019, "SYNTHETIC CT 01", create=True)
    for number in range(PRIVATE):
        vr, value = (("LO", f"private {number}"), ("DS", "12.5"), ("UN", bytes(range(64))), ("US", 7))[number % 4]
        block.add_new(number, vr, value)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, image.SOPInstanceUID
    return image


def _groups(number):
    """The functional groups of one frame."""
    groups = {
        "FrameContentSequence": {
            "FrameAcquisitionDateTime": f"202401021010{10 + number // 20:02d}.{number * 37 % 1000:03d}000",
            "FrameReferenceDateTime": "20240102101010.0",
            "FrameAcquisitionDuration": 500.0,
            "DimensionIndexValues": [1, number + 1],
            "StackID": "1",
            "InStackPositionNumber": number + 1,
        },
        "PlanePositionSequence": {"ImagePositionPatient": [-204.8, -204.8, 1.25 * number - 300.5]},
        "PixelValueTransformationSequence": {"RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU"},
        "FrameVOILUTSequence": {"WindowCenter": "40", "WindowWidth": "400"},
        "CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]},
    }
    return _item({key: [_item(values)] for key, values in groups.items()})


def _item(values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


MORE = {
    "InstitutionalDepartmentName": "Radiology",
    "TimezoneOffsetFromUTC": "+0100",
    "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO",
    "PatientIdentityRemoved": "NO",
    "ContrastBolusAgent": "none",
    "ContrastBolusVolume": "0",
    "SingleCollimationWidth": 0.6,
    "TotalCollimationWidth": 38.4,
    "TableSpeed": 69.1,
    "TableFeedPerRotation": 34.6,
    "DataCollectionCenterPatient": [0.0, -150.0, 20.0],
    "ReconstructionTargetCenterPatient": [0.0, -150.0, 20.0],
    "RevolutionTime": 0.5,
    "ExposureModulationType": "XYZ_EC",
    "EstimatedDoseSaving": 20.0,
    "WindowCenterWidthExplanation": ["SOFT", "LUNG"],
    "RequestingPhysician": "Requester^Ray",
    "RequestingService": "Pneumology",
    "RequestedContrastAgent": "none",
    "CurrentPatientLocation": "Ward 4",
    "PatientState": "stable",
    "IssuerOfPatientID": "NOWHERE",
    "PixelPaddingValue": -2000,
    "SmallestImagePixelValue": 0,
    "LargestImagePixelValue": 4095,
}
SEQUENCES = {
    "ReferencedStudySequence": [
        {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1", "ReferencedSOPInstanceUID": "1.2.3.4"}
    ],
    "ReferencedImageSequence": [
        {"ReferencedSOPClassUID": CTImageStorage, "ReferencedSOPInstanceUID": f"1.2.3.5.{n}"} for n in range(2)
    ],
    "ProcedureCodeSequence": [{"CodeValue": "CTTHOR", "CodingSchemeDesignator": "99NOW", "CodeMeaning": "CT thorax"}],
    "RequestAttributesSequence": [{"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "SPS1"}],
    "AnatomicRegionSequence": [{"CodeValue": "43799004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Thorax"}],
    "CTDIPhantomTypeCodeSequence": [
        {"CodeValue": "113691", "CodingSchemeDesignator": "DCM", "CodeMeaning": "IEC Body Dosimetry Phantom"}
    ],
}
