"""A body to segment: a label volume of smooth organs, a few large ones and many small, over a CT series of nobody."""

import json

import images
import numpy as np

ROWS = 512
SEED = 20260101


def write_inputs(folder, planes, counts):
    """CT slices in folder/ct, and for each of `counts` a label volume: N.npy, N.nrrd and N.json (for dcmqi)."""
    images.write_slices("ct", planes, folder / "ct")
    for count in counts:
        labels = make_labels(count, (planes, ROWS, ROWS))
        np.save(folder / f"{count}.npy", labels)
        _write_nrrd(folder / f"{count}.nrrd", labels)
        (folder / f"{count}.json").write_text(json.dumps(_describe(count)), "utf-8")


def make_labels(count, shape):
    """uint8 (k, j, i): `count` ellipsoids, later ones over earlier ones, each on about 55 % of the planes.

    117 of them on 300 planes meet some 20,000 pairs of segment and plane.
    """
    rng = np.random.default_rng(SEED + count)
    labels = np.zeros(shape, np.uint8)
    for number in range(1, count + 1):
        half = shape[0] * rng.uniform(0.15, 0.43)
        radii = np.array([half, *rng.uniform(8, 45, 2)])
        center = np.array([rng.uniform(half, shape[0] - half), *rng.uniform(80, 430, 2)])
        low = np.maximum(0, np.floor(center - radii)).astype(int)
        high = np.minimum(shape, np.ceil(center + radii) + 1).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        squares = [((axis - c) / r) ** 2 for axis, c, r in zip(np.ogrid[box], center, radii, strict=True)]
        labels[box][squares[0] + squares[1] + squares[2] <= 1] = number
    return labels


def _write_nrrd(path, labels):
    """On the grid of images.write_slices."""
    planes, rows, columns = labels.shape
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {columns} {rows} {planes}\nspace directions: (0.8,0,0) (0,0.8,0) (0,0,1)\n"
        "kinds: domain domain domain\nencoding: raw\nspace origin: (-200,-200,0)\n\n"
    )
    path.write_bytes(head.encode("ascii") + labels.tobytes())


def _describe(count):
    """What dcmqi wants to know."""
    return {
        "ContentCreatorName": "Bench", "ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "AI", "SeriesNumber": "7001", "InstanceNumber": "1", "BodyPartExamined": "CHEST",
        "segmentAttributes": [[_describe_segment(number) for number in range(1, count + 1)]],
    }  # fmt: skip


def _describe_segment(number):
    return {
        "labelID": number, "SegmentLabel": f"part {number}", "SegmentDescription": f"part {number}",
        "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "bench",
        "recommendedDisplayRGBValue": [230, 120, 60],
        "SegmentedPropertyCategoryCodeSequence": {
            "CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure",
        },
        "SegmentedPropertyTypeCodeSequence": {
            "CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver",
        },
    }  # fmt: skip
