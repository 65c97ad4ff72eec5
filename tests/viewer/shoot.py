"""Pictures of OHIF showing what we make of a chest CT: a segmentation, binary and as label map, and its report.

    python -m tests.viewer.shoot SERIES BOXES docs/ohif

SERIES: folder of one CT series. BOXES: folder of its reader's tumor boxes, Pascal VOC files named by SOP Instance UID
(the CT of the pictures: Lung_Dx-A0001 of The Cancer Imaging Archive, collection Lung-PET-CT-Dx). Needs Debian's
orthanc, orthanc-dicomweb, chromium and npm; OHIF and the driver of the browser come from npm at the first run.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import numpy as np
from pydicom import Dataset
from scipy import ndimage

from node.dicom.authorship import Authorship
from node.dicom.labelmap import encode_labelmap
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from pipelines.lung_seg.pipeline import LungSeg
from pipelines.steps.axes import with_axes
from pipelines.terms import Code, Finding, Mask, Measurement, Result, Segment, Volume
from tests.mutants import walk
from tests.viewer.serve import serve

HERE = Path(__file__).parent
OHIF = "@ohif/app@3.13.2"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "ohif"
TISSUE_HU = -400.0

MASS = Code("4147007", "SCT", "Mass")
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG = Code("39607008", "SCT", "Lung")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")


def main() -> None:
    """Makes the objects, stores them in an Orthanc of its own, and shoots."""
    series, boxes, out = (Path(text) for text in sys.argv[1:4])
    stack, result = analyze(series, boxes)
    manifest = replace(LungSeg.manifest, title="Lungs, and the tumor in a reader's boxes")
    author = Authorship("screenshot", manifest, datetime.now(UTC), "WETREAD")
    dist = find_ohif()
    out.mkdir(parents=True, exist_ok=True)
    for name, encode in (("binary", encode_segmentation), ("label-map", encode_labelmap)):
        segmentation = encode(stack, result, author)
        report = encode_report(stack, result, author, segmentation)
        with TemporaryDirectory() as folder, orthanc(Path(folder)) as pacs:
            upload(pacs, [*stack.paths, *write([segmentation, report], Path(folder))])
            with serve(dist, pacs) as site:
                shoot(site, stack, segmentation, report, out, name)


def analyze(series: Path, boxes: Path) -> tuple[Stack, Result]:
    """The lungs as lung-seg finds them, without the tumor, and the tumor as tissue in the reader's boxes."""
    (stack,), _ = read_stacks(sorted(path for path in series.rglob("*") if path.is_file()))
    volume = load_volume(stack)
    lungs = LungSeg().load().run(volume, lambda done, activity: print(f"{done:4.0%} {activity}", file=sys.stderr))
    tumor = find_tumor(stack, volume, boxes)
    segments = [replace(segment, mask=segment.mask & ~tumor) for segment in lungs.segments]
    mass = Segment("mass", "Tumor in a reader's boxes", LESION, MASS, tumor, site=LUNG, color=(230, 190, 60))
    size = Measurement(VOLUME, round(float(tumor.sum()) * volume.voxel_ml, 2), MILLILITER)
    finding = Finding("mass", MASS, site=LUNG, segment_key="mass", measurements=(size,))
    result = Result((*segments, mass), (*lungs.findings, finding), lungs.notes)
    return stack, with_axes(result, volume.spacing)


def find_tumor(stack: Stack, volume: Volume, boxes: Path) -> Mask:
    """The largest connected tissue within the boxes."""
    inside = np.zeros(volume.shape, bool)
    for k, (index, _) in enumerate(stack.frames):
        place = boxes / f"{stack.headers[index].SOPInstanceUID}.xml"
        for box in ElementTree.parse(place).iter("bndbox") if place.is_file() else ():
            left, top, right, bottom = (int(box.findtext(edge, "0")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            inside[k, top:bottom, left:right] = True
    labels, _ = ndimage.label(inside & (volume.voxels > TISSUE_HU))
    largest: Mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return largest


def find_ohif() -> Path:
    """OHIF's built pages, unpacked from its npm package, and the driver of the browser beside them."""
    dist = CACHE / "package" / "dist"
    if not (dist / "index.html").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", OHIF], cwd=CACHE, check=True)
        (archive,) = CACHE.glob("*.tgz")
        shutil.unpack_archive(archive, CACHE)
        archive.unlink()
    return dist


def write(objects: list[Dataset], folder: Path) -> list[Path]:
    """The objects as files."""
    paths = [folder / f"{number}.dcm" for number in range(len(objects))]
    for ds, path in zip(objects, paths, strict=True):
        write_dicom(ds, path)
    return paths


@contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """The address of an Orthanc with DICOMweb that lives in `folder`."""
    port = find_port()
    settings = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": port,
        "Plugins": ["/usr/share/orthanc/plugins"], "DicomServerEnabled": False, "AuthenticationEnabled": False,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings), "utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/system")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def find_port() -> int:
    """A port that is free on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(address: str) -> None:
    """Returns when something answers."""
    patience = time.monotonic() + 30
    while True:
        try:
            urlopen(address, timeout=5).close()
        except URLError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.2)
        else:
            return


def upload(pacs: str, paths: list[Path]) -> None:
    """The files into Orthanc."""
    for path in paths:
        urlopen(Request(f"{pacs}/instances", path.read_bytes()), timeout=30).close()


def shoot(site: str, stack: Stack, segmentation: Dataset, report: Dataset, out: Path, name: str) -> None:
    """Two pictures: the segmentation, at the image that the report is drawn on, and the report."""
    plan = {
        "site": site,
        "study": stack.study_uid,
        "segmentation": segmentation.SeriesInstanceUID,
        "report": report.SeriesInstanceUID,
        "image": find_image(stack, report),
        "segmentationPicture": str(out / f"{name}-segmentation.png"),
        "reportPicture": str(out / "report.png"),
    }
    subprocess.run(["node", str(HERE / "shoot.mjs")], input=json.dumps(plan), text=True, check=True, timeout=600)


def find_image(stack: Stack, report: Dataset) -> int:
    """The number, from 1 and from the head on, of the image with the rectangle of the report."""
    rectangle = next(item for item in walk(report) if item.ValueType == "SCOORD")
    image = rectangle.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    heights = sorted((float(header.ImagePositionPatient[2]), header.SOPInstanceUID) for header in stack.headers)
    return 1 + [uid for _, uid in reversed(heights)].index(image)


if __name__ == "__main__":
    main()
