"""A lesion is drawn where it is: its rectangle and its axes, through the geometry of the image that they name."""

import dataclasses

import highdicom as hd
import numpy as np
import pydicom
import pytest

from node.dicom.extent import find_extents
from node.dicom.lesion import box_rectangle, largest_rectangle, middle_rectangle
from node.dicom.output_gate import check_objects
from node.dicom.read_report import read_findings
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.steps.axes import with_axes
from pipelines.terms import Axes, Box, Finding, LabelMask, Measurement, Result
from tests.judges import dciodvfy_errors, dsrdump, tid1500
from tests.results import (
    ANATOMY,
    CORPUS,
    LUNG,
    MILLILITER,
    NODULE,
    VOLUME,
    make_author,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series

VOXEL = (1, 4, 7)
GEOMETRIES = [name for name in CORPUS if name != "few pixels"]


def encode(stack, result, **more):
    author = make_author()
    ds = encode_segmentation(stack, result, author) if result.segments else None
    return ds, encode_report(stack, result, author, ds, **more)


def spacing_of(stack):
    return tuple(float(v) for v in np.linalg.norm(stack.affine[:3, :3], axis=0))


def one_voxel(shape, place=VOXEL):
    mask = np.zeros(shape, bool)
    mask[place] = True
    return mask


def one_lesion(stack, mask):
    return with_axes(Result((make_segment(mask),), (make_finding(),)), spacing_of(stack))


def groups_of(report, template=None):
    measurements = next(i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010")
    groups = measurements.ContentSequence
    return [g for g in groups if template in (None, g.ContentTemplateSequence[0].TemplateIdentifier)]


def to_patient(region, stack):
    """The points of `region` in mm (LPS), by the attributes of the very frame that it names (PS3.3 C.7.6.2.1.1).

    The center of the first pixel is at Image Position, and has the coordinates (0.5, 0.5) (PS3.3 table C.18.6-1).
    """
    header = next(ds for ds in stack.headers if ds.SOPInstanceUID == region["sop_instance_uid"])
    places = [header]
    if "PerFrameFunctionalGroupsSequence" in header:
        groups = [
            header.PerFrameFunctionalGroupsSequence[region["frame"] - 1],
            header.SharedFunctionalGroupsSequence[0],
        ]
        names = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        places = [group[name][0] for group in groups for name in names if name in group]
    else:
        assert region["frame"] is None

    def attribute(keyword):
        return np.array(next(place[keyword].value for place in places if keyword in place), float)

    cosines, (between_rows, between_columns) = attribute("ImageOrientationPatient"), attribute("PixelSpacing")
    row, column = (axis / np.linalg.norm(axis) for axis in (cosines[:3], cosines[3:]))
    return np.array(
        [
            attribute("ImagePositionPatient") + row * (c - 0.5) * between_columns + column * (r - 0.5) * between_rows
            for c, r in region["points"]
        ]
    )


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_region_of_one_voxel_encloses_that_voxel_and_no_other_in_the_patient(name):
    stack = CORPUS[name]()
    _, report = encode(stack, one_lesion(stack, one_voxel(stack.shape)))
    (region,) = read_findings(report)[0]["regions"]
    corners = to_patient(region, stack)
    assert region["graphic_type"] == "POLYLINE" and len(corners) == 5
    np.testing.assert_allclose(corners[0], corners[4], err_msg="closed")

    k, j, i = VOXEL
    wanted = [stack.affine @ (k, j + dj, i + di, 1) for dj, di in ((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5))]
    np.testing.assert_allclose(corners[:4], np.array(wanted)[:, :3], atol=1e-3)

    voxels = np.argwhere(np.ones(stack.shape, bool))
    centers = (np.c_[voxels, np.ones(len(voxels))] @ stack.affine.T)[:, :3]
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    normal = np.cross(across, down) / np.linalg.norm(np.cross(across, down))
    offset = centers - corners[0]
    u, v = offset @ across / (across @ across), offset @ down / (down @ down)
    inside = (np.abs(offset @ normal) < 0.1) & (u > 0) & (u < 1) & (v > 0) & (v < 1)
    assert voxels[inside].tolist() == [[k, j, i]]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_axes_are_as_long_in_the_patient_as_they_say_and_lie_in_the_plane_they_were_measured_in(name):
    stack = CORPUS[name]()
    result = with_axes(make_result(stack.shape), spacing_of(stack))
    ds, report = encode(stack, result)
    check_objects([ds, report], stack.headers)
    axes = result.findings[0].axes
    *_, long, short = read_findings(report)[0]["measurements"]
    for measurement, ends, length in ((long, axes.long, axes.long_mm), (short, axes.short, axes.short_mm)):
        start, end = to_patient(measurement["line"], stack)
        assert np.linalg.norm(end - start) == pytest.approx(measurement["value"], rel=1e-5)
        assert measurement["value"] == pytest.approx(length)
        for point, (j, i) in zip((start, end), ends, strict=True):
            np.testing.assert_allclose(point, (stack.affine @ (axes.plane, j, i, 1))[:3], atol=1e-3)
    assert (long["concept"].meaning, short["concept"].meaning, long["unit"].value) == ("Long Axis", "Short Axis", "mm")


def test_the_rectangle_lies_in_the_plane_where_most_of_the_lesion_is():
    mask = np.zeros((4, 12, 12), bool)
    mask[1, 2:4, 0:10] = True
    mask[3, 5:12, 6:12] = True
    (extent,) = find_extents(Result((make_segment(mask), make_segment(mask & False, "none")), (make_finding(),)))
    found = largest_rectangle(extent)
    assert (found.plane, found.left, found.top, found.right, found.bottom) == (3, 6.0, 5.0, 12.0, 12.0)
    found = middle_rectangle(extent, 4)
    assert (found.plane, found.left, found.top, found.right, found.bottom) == (1, 0.0, 2.0, 10.0, 4.0)


def test_a_lesion_has_three_groups_under_one_tracking_uid():
    stack = make_stack(make_series())
    result = with_axes(make_result(stack.shape), spacing_of(stack))
    ds, report = encode(stack, result)
    groups = groups_of(report)
    assert [g.ContentTemplateSequence[0].TemplateIdentifier for g in groups] == ["1411", "1410", "1501"]
    uids = {next(i.UID for i in g.ContentSequence if i.ValueType == "UIDREF") for g in groups}
    assert uids == {ds.SegmentSequence[0].TrackingUID}
    assert [[i.ValueType for i in g.ContentSequence].count("NUM") for g in groups] == [2, 0, 2]


@pytest.mark.parametrize("shared", [False, True], ids=["mask", "share of a label volume"])
def test_an_organ_has_a_rectangle_for_viewers_in_a_plane_that_it_is_in_and_none_without_the_hint(shared):
    stack = make_stack(make_series((9, 12, 14)))
    labels = np.zeros(stack.shape, np.uint8)
    labels[6:, 2:5, 3:9] = 7
    mask = LabelMask(labels, 7) if shared else labels == 7
    organ = Result((make_segment(mask, category=ANATOMY),), (make_finding(),))
    _, report = encode(stack, with_axes(organ, spacing_of(stack)))
    groups = groups_of(report)
    assert [g.ContentTemplateSequence[0].TemplateIdentifier for g in groups] == ["1411", "1410"]
    (region,) = (i for i in groups[1].ContentSequence if i.ValueType == "SCOORD")
    assert list(region.GraphicData) == [3, 2, 9, 2, 9, 5, 3, 5, 3, 2]
    (image,) = (reference for reference in region.ContentSequence[0].ReferencedSOPSequence)
    assert image.ReferencedSOPInstanceUID == stack.headers[6].SOPInstanceUID
    assert len(groups_of(encode(stack, organ, viewer_hints=False)[1])) == 1


@pytest.mark.parametrize("hints", [True, False])
def test_the_tracking_identifier_of_axes_names_the_viewers_tool_only_when_asked(hints):
    stack = make_stack(make_series())
    _, report = encode(stack, with_axes(make_result(stack.shape), spacing_of(stack)), viewer_hints=hints)
    names = [next(i.TextValue for i in group.ContentSequence if "TextValue" in i) for group in groups_of(report)]
    plain = "lung-nodule/nodule-1"
    assert names == [plain, plain, f"Cornerstone3DTools@^0.1.0:Bidirectional:{plain}" if hints else plain]


def test_every_number_with_a_site_or_a_modifier_has_something_below_it():
    stack = make_stack(make_series())
    _, report = encode(stack, with_axes(make_result(stack.shape, 2), spacing_of(stack)))
    numbers = [item for group in groups_of(report) for item in group.ContentSequence if item.ValueType == "NUM"]
    assert len(numbers) == 8 and all(item.get("ContentSequence") for item in numbers)


def test_a_box_is_drawn_where_there_is_no_segment():
    stack = make_stack(make_series())
    k, j, i = VOXEL
    box = Box((k - 0.5, j - 0.5, i - 0.5), (k + 0.5, j + 0.5, i + 0.5))
    numbers = (Measurement(VOLUME, 0.7, MILLILITER),)
    ds, report = encode(stack, Result((), (Finding("n", NODULE, site=LUNG, box=box, measurements=numbers),)))
    assert ds is None
    assert [g.ContentTemplateSequence[0].TemplateIdentifier for g in groups_of(report)] == ["1501", "1410"]
    (found,) = read_findings(report)
    assert found["measurements"][0]["value"] == 0.7
    drawn = to_patient(found["regions"][0], stack)
    np.testing.assert_allclose(drawn[:4].mean(axis=0), (stack.affine @ (*VOXEL, 1))[:3], atol=1e-3)
    check_objects([report], stack.headers)


@pytest.mark.parametrize(
    ("low", "high", "plane", "edges"),
    [
        ((1.5, 0.0, 0.0), (4.5, 4.0, 5.0), 3, (0.5, 0.5, 5.5, 4.5)),
        ((2.0, 0.0, 0.0), (3.0, 4.0, 5.0), 2, (0.5, 0.5, 5.5, 4.5)),
        ((-9.0, -9.0, -9.0), (0.4, 3.0, 99.0), 0, (0.0, 0.0, 18.0, 3.5)),
        ((3.6, 14.5, 16.5), (99.0, 99.0, 17.0), 4, (17.0, 15.0, 17.5, 16.0)),
        ((1.2, 1.25, 2.5), (1.3, 1.5, 2.75), 1, (3.0, 1.75, 3.25, 2.0)),
    ],
)
def test_a_box_is_cut_in_its_middle_plane_and_at_the_edges_of_the_image(low, high, plane, edges):
    found = box_rectangle(Box(low, high), (5, 16, 18))
    assert (found.plane, found.left, found.top, found.right, found.bottom) == (plane, *edges)


@pytest.mark.parametrize(
    "box",
    [
        Box((-3.0, 1.0, 1.0), (-0.6, 2.0, 2.0)),
        Box((4.6, 1.0, 1.0), (8.0, 2.0, 2.0)),
        Box((1.0, 16.0, 1.0), (2.0, 18.0, 2.0)),
        Box((1.0, 1.0, -5.0), (2.0, 2.0, -0.5)),
    ],
)
def test_a_box_outside_the_image_is_refused(box):
    with pytest.raises(EncodingError, match="outside"):
        box_rectangle(box, (5, 16, 18))


def test_axes_in_a_plane_that_the_stack_has_not_are_refused():
    stack = make_stack(make_series())
    axes = Axes(5, ((0.0, 0.0), (0.0, 9.0)), ((0.0, 4.0), (3.0, 4.0)), 9.0, 3.0)
    with pytest.raises(EncodingError, match="plane 5"):
        encode(stack, Result((), (Finding("n", NODULE, axes=axes),)))


def test_a_box_without_extent_and_axes_that_contradict_each_other_cannot_be_made():
    with pytest.raises(ValueError, match="extent"):
        Box((0.0, 0.0, 1.0), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="long axis"):
        Axes(0, ((0.0, 0.0), (0.0, 1.0)), ((0.0, 0.0), (2.0, 0.0)), 1.0, 2.0)


def test_nothing_is_drawn_of_what_is_absent_and_of_an_empty_segment():
    stack = make_stack(make_series())
    box = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    empty = make_segment(np.zeros(stack.shape, bool), "empty")
    findings = (Finding("n", NODULE, absent=True, box=box), make_finding("empty"))
    report = encode_report(stack, Result((empty,), findings), make_author(), None)
    assert [found["regions"] for found in read_findings(report)] == [[], []]


def test_highdicom_reads_every_group_back(tmp_path):
    stack = CORPUS["enhanced"]()
    result = with_axes(make_result(stack.shape, 2), spacing_of(stack))
    ds, report = encode(stack, result)
    write_dicom(report, tmp_path / "sr.dcm")
    tree = hd.sr.srread(tmp_path / "sr.dcm").content
    volumes, planes, images = (
        tree.get_volumetric_roi_measurement_groups(),
        tree.get_planar_roi_measurement_groups(),
        tree.get_image_measurement_groups(),
    )
    assert [len(groups) for groups in (volumes, planes, images)] == [2, 2, 2]
    assert [g.referenced_segment[0].referenced_segment_numbers for g in volumes] == [[1], [2]]
    for number, (volume, plane, image) in enumerate(zip(volumes, planes, images, strict=True)):
        axes = result.findings[number].axes
        assert volume.tracking_uid == plane.tracking_uid == image.tracking_uid == ds.SegmentSequence[number].TrackingUID
        assert plane.roi.value.shape == (5, 2)
        long, short = image.get_measurements()
        assert (long.value, short.value) == (axes.long_mm, axes.short_mm)
        assert long.referenced_coordinates[0].value.tolist() == (np.array(axes.long)[:, ::-1] + 0.5).tolist()


@pytest.mark.judge
@pytest.mark.parametrize("name", ["plain", "sagittal", "enhanced, some frames, reversed"])
def test_judges_accept_lesions_and_dcmqi_reads_their_axes(name, tmp_path):
    stack = CORPUS[name]()
    result = with_axes(make_result(stack.shape, 2), spacing_of(stack))
    boxed = Finding("box", NODULE, site=LUNG, box=Box((1.0, 2.0, 3.0), (3.0, 9.0, 9.0)))
    result = dataclasses.replace(result, findings=(*result.findings, boxed))
    ds, report = encode(stack, result)
    check_objects([ds, report], stack.headers)
    path = tmp_path / "sr.dcm"
    write_dicom(report, path)
    assert dciodvfy_errors(path) == []
    assert dsrdump(path).count("SCOORD") == 7, "three rectangles and four axes"
    read = tid1500(path, tmp_path)["Measurements"]
    axes = [
        (item["quantity"]["CodeMeaning"], float(item["value"]))
        for group in read
        for item in group["measurementItems"]
        if "Axis" in item["quantity"]["CodeMeaning"]
    ]
    first, second = (finding.axes for finding in result.findings[:2])
    assert axes == [
        ("Long Axis", pytest.approx(first.long_mm)),
        ("Short Axis", pytest.approx(first.short_mm)),
        ("Long Axis", pytest.approx(second.long_mm)),
        ("Short Axis", pytest.approx(second.short_mm)),
    ]


@pytest.mark.judge
@pytest.mark.parametrize("series", ["ct_chest_LungDx_A0001/series3_soft_kernel", "mr_enhanced"])
def test_a_lesion_on_real_images_is_drawn_on_them(series, real_data, tmp_path):
    from node.dicom.stacking import read_stacks

    stacks, _ = read_stacks(sorted((real_data / series).rglob("*.dcm")))
    stack = max(stacks, key=lambda stack: stack.shape[0])
    place = tuple(n // 3 for n in stack.shape)
    ds, report = encode(stack, one_lesion(stack, one_voxel(stack.shape, place)))
    check_objects([ds, report], stack.headers)
    write_dicom(report, tmp_path / "sr.dcm")
    assert dciodvfy_errors(tmp_path / "sr.dcm") == []
    (found,) = read_findings(pydicom.dcmread(tmp_path / "sr.dcm"))
    center = to_patient(found["regions"][0], stack)[:4].mean(axis=0)
    np.testing.assert_allclose(center, (stack.affine @ (*place, 1))[:3], atol=0.01)
