"""One encoder in a process of its own: reads its inputs, encodes, writes a file, says how long and how much memory.

encoders.py NAME FOLDER SEGMENTS OUT
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.dicom.authorship import Authorship
from node.dicom.labelmap import encode_labelmap
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation, track
from node.dicom.stacking import read_stacks
from node.dicom.write import write_dicom
from pipelines.terms import Code, Finding, LabelMask, Manifest, Measurement, Requires, Result, Segment

ORGAN = Code("123037004", "SCT", "Anatomical Structure")
LIVER = Code("10200004", "SCT", "Liver")
VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
MILLILITER = Code("mL", "UCUM", "milliliter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
FAMILY = Code("123110", "DCM", "Artificial Intelligence")
MANIFEST = Manifest(
    "bench", "1.0.0", "Bench", "Nobody", Requires(modality="CT"), (LIVER,), "ab" * 32, "Measuring", "patients",
    Code("25045-6", "LN", "CT unspecified body region"),
)  # fmt: skip
AUTHOR = Authorship("bench", MANIFEST, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "BENCH")


def main():
    name, folder, count, out = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    read, prepare, encode = ENCODERS[name]
    began = time.perf_counter()
    images = read(sorted((folder / "ct").iterdir()))
    labels = np.load(folder / f"{count}.npy")
    read_s = time.perf_counter() - began
    given = prepare(images, labels, count)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak counts from here
    began = time.perf_counter()
    encode(*given, out)
    seconds = time.perf_counter() - began
    numbers = {"seconds": seconds, "read_s": read_s, "peak_mb": (_memory("VmHWM") - before) / 1e6}
    print(json.dumps(numbers))


def _memory(name):
    """Bytes of this process, by its name in /proc."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024


def read_our_stack(paths):
    (stack,), refused = read_stacks(paths)
    assert not refused
    return stack


def read_headers(paths):
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    return sorted(headers, key=lambda header: float(header.ImagePositionPatient[2]))


def our_result(stack, labels, count):
    """(stack, result): segments that share one label volume, as an arg max leaves them."""
    segments, findings = [], []
    for number in range(1, count + 1):
        key = f"part-{number}"
        segments.append(Segment(key, f"part {number}", ORGAN, LIVER, LabelMask(labels, number)))
        findings.append(
            Finding(
                key, LIVER, segment_key=key,
                measurements=(
                    Measurement(VOLUME, 10.0 + number, MILLILITER),
                    Measurement(ATTENUATION, 40.0 + number, HOUNSFIELD, derivation=MEAN),
                ),
            )
        )  # fmt: skip
    return stack, Result(tuple(segments), tuple(findings))


def their_masks(headers, labels, count):
    """(headers, labels, segment descriptions): the form of masks that highdicom is fastest with."""
    return headers, labels, [_describe(number) for number in range(1, count + 1)]


def _describe(number):
    algorithm = hd.AlgorithmIdentificationSequence("bench", _concept(FAMILY), "1.0.0", "Nobody")
    key = f"part-{number}"
    return hd.seg.SegmentDescription(
        number, f"part {number}", _concept(ORGAN), _concept(LIVER), hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm, tracking_uid=AUTHOR.uid("track", key), tracking_id=track(AUTHOR, key).identifier,
        display_color=hd.color.CIELabColor.from_rgb(230, 120, 60),
    )  # fmt: skip


def _concept(code):
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def write_our_segmentation(stack, result, out):
    write_dicom(encode_segmentation(stack, result, AUTHOR), out)


def write_our_labelmap(stack, result, out):
    write_dicom(encode_labelmap(stack, result, AUTHOR), out)


def write_their_segmentation(headers, labels, descriptions, out):
    hd.seg.Segmentation(
        headers, labels, "BINARY", descriptions, hd.UID(), 7001, hd.UID(), 1, "Nobody", "bench", "1.0.0", "1"
    ).save_as(out)


def write_their_labelmap(headers, labels, descriptions, out):
    hd.seg.Segmentation(
        headers, labels, "LABELMAP", descriptions, hd.UID(), 7001, hd.UID(), 1, "Nobody", "bench", "1.0.0", "1",
        transfer_syntax_uid=pydicom.uid.RLELossless,
    ).save_as(out)  # fmt: skip


def our_report(stack, labels, count):
    stack, result = our_result(stack, labels, count)
    return stack, result, encode_segmentation(stack, result, AUTHOR)


def write_our_report(stack, result, segmentation, out):
    write_dicom(encode_report(stack, result, AUTHOR, segmentation), out)


def write_their_report(stack, result, segmentation, out):
    """TID 1500 by highdicom: the same groups, measurements, image library and evidence."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(hd.UID(), "BENCH", "Nobody", "bench")
    observer = hd.sr.ObserverContext(pydicom.sr.codedict.codes.DCM.Device, device)
    report = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_device_context=observer),
        _concept(MANIFEST.procedure),
        [_their_group(n, f, stack, segmentation) for n, f in enumerate(result.findings, 1)],
        referenced_images=stack.headers,
    )
    hd.sr.Comprehensive3DSR(
        [*stack.headers, segmentation], report, hd.UID(), 7002, hd.UID(), 1, "Nobody", is_complete=True
    ).save_as(out)


def _their_group(number, finding, stack, segmentation):
    segment = hd.sr.ReferencedSegment(
        segmentation.SOPClassUID, segmentation.SOPInstanceUID, number,
        source_series=hd.sr.SourceSeriesForSegmentation(stack.series_uid),
    )  # fmt: skip
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            AUTHOR.uid("track", finding.key), track(AUTHOR, finding.key).identifier
        ),
        referenced_segment=segment,
        finding_type=_concept(finding.concept),
        finding_category=_concept(ORGAN),
        algorithm_id=hd.sr.AlgorithmIdentification("bench", "1.0.0", family=_concept(FAMILY)),
        measurements=[
            hd.sr.Measurement(
                _concept(m.concept),
                m.value,
                _concept(m.unit),
                derivation=_concept(m.derivation) if m.derivation else None,
            )
            for m in finding.measurements
        ],
    )


ENCODERS = {
    "wetread": (read_our_stack, our_result, write_our_segmentation),
    "highdicom": (read_headers, their_masks, write_their_segmentation),
    "wetread-labelmap": (read_our_stack, our_result, write_our_labelmap),
    "highdicom-labelmap": (read_headers, their_masks, write_their_labelmap),
    "wetread-report": (read_our_stack, our_report, write_our_report),
    "highdicom-report": (read_our_stack, our_report, write_their_report),
}

if __name__ == "__main__":
    main()
