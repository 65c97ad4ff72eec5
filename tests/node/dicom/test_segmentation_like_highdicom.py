"""Attribute by attribute, our segmentations are those that highdicom writes, but for the differences listed here."""

import re

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from node.dicom.codes import ARTIFICIAL_INTELLIGENCE, to_concept
from node.dicom.labelmap import encode_labelmap
from node.dicom.segmentation import encode_segmentation, track
from node.dicom.write import write_dicom
from pipelines.terms import Result
from tests.results import enhanced, make_author, make_finding, make_frame_stack, make_segment, make_stack
from tests.series import make_series

DIFFERENCES = {
    r"(Series|Content|InstanceCreation)(Date|Time)": "times are when the job was made, so that a rerun repeats them",
    r"(SOPInstance|SeriesInstance)UID": "derived from the job, not random",
    r"DimensionOrganizationSequence\[0\].DimensionOrganizationUID": "derived from the job, not random",
    r"DimensionIndexSequence\[\d\].DimensionOrganizationUID": "derived from the job, not random",
    r"SpecificCharacterSet": "everything is decoded and written in UTF-8, whatever the source declared",
    r"ContributingEquipmentSequence.*": "names scanner and algorithm with their Device UIDs (IHE AIR), not a library",
    r"DeviceUID|StationName": "of the algorithm and of this node (IHE AIR 6.5.3.1)",
    r"SeriesDescription": "says that it is an AI's and not reviewed",
    r"ContentCreatorName": "type 2 in Content Identification: there, and empty",
    r"PresentationLUTShape": "type 3 in General Image, and IDENTITY is what segments are anyway",
    r"SourceImageSequence(\[\d+\].*)?": "type 3, and the same list as Referenced Series Sequence",
    r"DimensionOrganizationType BINARY": "said there of one segment, and of none when there are two",
    r"(Shared\w+\[0\]|frame .*)\.SegmentIdentificationSequence.*": "shared there by the frames of an only segment",
    r"ClinicalTrialTimePointID": "highdicom adds it, empty, to a study that is of no trial",
}
"""Path of an attribute (regular expression) -> why ours differs from highdicom's, is there alone, or is missing."""

SIZES = {"even": (5, 16, 24), "odd columns": (6, 13, 17), "small": (7, 5, 3)}


def apart(shape, count):
    """`count` segments of one label volume with holes, empty planes at both ends, some segments on few planes."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, count + 1, shape).astype(np.uint8)
    labels[0] = labels[-1] = 0
    labels[2][labels[2] == 1] = 0
    labels[1].ravel()[:count] = np.arange(1, count + 1)
    return [labels == n for n in range(1, count + 1)]


def over(shape, count):
    """`count` segments that share voxels."""
    masks = apart(shape, count)
    return [mask | masks[0] for mask in masks]


def make_masks_result(masks):
    keys = [f"part-{n}" for n in range(len(masks))]
    segments = [make_segment(mask, key, laterality=None) for mask, key in zip(masks, keys, strict=True)]
    return Result(tuple(segments), tuple(make_finding(key) for key in keys))


def encode_by_highdicom(stack, result, author, kind):
    """What highdicom makes of the same masks with the same words, all planes of the source given."""
    manifest = author.manifest
    algorithm = hd.AlgorithmIdentificationSequence(
        manifest.name, to_concept(ARTIFICIAL_INTELLIGENCE), manifest.version, manifest.manufacturer
    )
    descriptions = [
        hd.seg.SegmentDescription(
            n, segment.label, to_concept(segment.category), to_concept(segment.kind),
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm,
            tracking_uid=author.uid("track", segment.key), tracking_id=track(author, segment.key).identifier,
            anatomic_regions=[to_concept(segment.site)],
            display_color=hd.color.CIELabColor.from_rgb(*segment.color),
        )
        for n, segment in enumerate(result.segments, 1)
    ]  # fmt: skip
    return hd.seg.Segmentation(
        stack.headers, np.stack([segment.mask for segment in result.segments], axis=-1), kind, descriptions,
        hd.UID(), 7001, hd.UID(), 1, manifest.manufacturer, manifest.name, manifest.version, author.device_uid,
        content_label="AI_SEGMENTATION", content_description=f"{manifest.name} {manifest.version}",
    )  # fmt: skip


def flatten(ds, place=""):
    """{path: value} of every attribute but pixels; frames by segment and source frame, whatever their order."""
    values = {}
    for element in ds:
        path = place + element.keyword
        if element.keyword == "PerFrameFunctionalGroupsSequence":
            for group in element.value:
                values |= flatten(group, f"frame {frame_key(group, ds)}.")
        elif element.VR == "SQ":
            values[path] = len(element.value)
            for n, item in enumerate(element.value):
                values |= flatten(item, f"{path}[{n}].")
        elif element.keyword != "PixelData":
            values[path] = plain(element)
    return values


def plain(element):
    values = element.value if element.VM > 1 else [element.value]
    if element.VR in {"DS", "IS", "US", "UL"}:
        return [round(float(value), 9) for value in values]
    return ["" if value is None else str(value) for value in values]


def frame_key(group, ds):
    (source,) = group.DerivationImageSequence[0].SourceImageSequence
    (shared,) = ds.SharedFunctionalGroupsSequence
    numbers = group.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
    segment = numbers[0].ReferencedSegmentNumber if numbers else 0
    return segment, str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))


def ranks(values):
    """The last Dimension Index Value of every frame, taken out of `values`: highdicom counts against the normal."""
    taken = {path: values.pop(path) for path in list(values) if path.endswith("DimensionIndexValues")}
    return {path: (value[:-1], value[-1]) for path, value in taken.items()}


def find_reason(path, kind):
    """The entry of DIFFERENCES that `path`, alone or with the type of segmentation, is; None when there is none."""
    return next((p for p in DIFFERENCES if re.fullmatch(p, path) or re.fullmatch(p, f"{path} {kind}")), None)


STACKS = {
    **{name: lambda shape=shape: make_stack(make_series(shape)) for name, shape in SIZES.items()},
    "MR, reversed": lambda: make_stack(make_series((5, 8, 9), modality="MR")[::-1]),
    "enhanced": lambda: make_frame_stack(enhanced((5, 12, 10)), [1, 2, 3, 4, 5]),
}
KINDS = (("BINARY", apart), ("BINARY", over), ("LABELMAP", apart))
CASES = [(name, count, *kind) for name in STACKS for count in (1, 3) for kind in KINDS]
CASES += [(name, 20, *kind) for name in ("even", "odd columns") for kind in KINDS]


@pytest.mark.parametrize(("name", "count", "kind", "masks"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_every_attribute_is_as_highdicom_writes_it(name, count, kind, masks, tmp_path):
    stack, author = STACKS[name](), make_author()
    result = make_masks_result(masks(stack.shape, count))
    encode = encode_segmentation if kind == "BINARY" else encode_labelmap
    write_dicom(encode(stack, result, author), tmp_path / "ours.dcm")
    encode_by_highdicom(stack, result, author, kind).save_as(tmp_path / "theirs.dcm")
    ours, theirs = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in ("ours", "theirs"))
    left, right = flatten(ours), flatten(theirs)
    mine, others = ranks(left), ranks(right)
    highest = max(rank for _, rank in mine.values())
    assert mine == {path: (before, highest + 1 - rank) for path, (before, rank) in others.items()}
    differ = {path for path in left.keys() | right.keys() if left.get(path) != right.get(path)}
    unlisted = {path: (left.get(path), right.get(path)) for path in differ if find_reason(path, kind) is None}
    assert unlisted == {}
    assert_same_pixels(ours, theirs)


def assert_same_pixels(ours, theirs):
    frames = []
    for ds in (ours, theirs):
        pixels = pixel_array(ds).reshape(-1, ds.Rows, ds.Columns)
        keys = [frame_key(group, ds) for group in ds.PerFrameFunctionalGroupsSequence]
        frames.append(dict(zip(keys, pixels, strict=True)))
    assert frames[0].keys() == frames[1].keys()
    assert all(np.array_equal(frames[0][key], frames[1][key]) for key in frames[0])


def test_the_list_of_differences_has_no_entry_that_is_none():
    found = set()
    for name, kind in (("even", "BINARY"), ("enhanced", "LABELMAP")):
        stack, author = STACKS[name](), make_author()
        result = make_masks_result(apart(stack.shape, 1))
        encode = encode_segmentation if kind == "BINARY" else encode_labelmap
        left = flatten(encode(stack, result, author))
        right = flatten(encode_by_highdicom(stack, result, author, kind))
        differ = [path for path in left.keys() | right.keys() if left.get(path) != right.get(path)]
        found |= {find_reason(path, kind) for path in differ}
    assert set(DIFFERENCES) <= found
