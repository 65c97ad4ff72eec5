"""Maps keep every float, on the plane it belongs to, with what it is and in which unit; judges agree."""

import copy
import tracemalloc

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from node.dicom.parametric_map import encode_parametric_maps
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Code, Result, ScalarMap
from tests.judges import dciodvfy_errors
from tests.results import CORPUS, NODULE, make_author, make_finding, make_stack
from tests.series import make_series

PROBABILITY = Code("110854", "DCM", "Fractional Probabilistic Segmentation")
SALIENCY = Code("130404", "DCM", "Saliency")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
NO_UNITS = Code("1", "UCUM", "no units")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def make_map(shape, key="nodule-probability", seed=1, low=0.0, high=1.0, **changes):
    values = np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
    card = {"label": "Nodule probability", "values": values, "quantity": PROBABILITY, "unit": NO_UNITS}
    return ScalarMap(key, **{**card, **changes})


def make_result(*maps):
    return Result((), (make_finding_without_segment(),), maps=maps)


def make_finding_without_segment():
    finding = make_finding()
    return type(finding)(finding.key, NODULE, absent=True)


def encode(stack, *maps):
    return encode_parametric_maps(stack, make_result(*maps), make_author())


def read(ds, folder, name="map.dcm"):
    """(path, dataset) after a trip over the disk."""
    write_dicom(ds, folder / name)
    return folder / name, pydicom.dcmread(folder / name)


def test_every_float_comes_back_on_the_plane_it_was_found_in(stack, tmp_path):
    scalars = make_map(stack.shape, low=-1e20, high=1e20)
    _, ds = read(encode(stack, scalars)[0], tmp_path)
    planes = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    found = np.full(stack.shape, np.nan, np.float32)
    for frame, group in zip(pixel_array(ds), ds.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        found[planes[str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))]] = frame
    assert np.array_equal(found, scalars.values)


def test_highdicom_reads_the_same_floats_at_the_same_place(stack, tmp_path):
    scalars = make_map(stack.shape)
    path, _ = read(encode(stack, scalars)[0], tmp_path)
    volume = hd.pm.ParametricMap.from_file(path).get_volume(apply_real_world_transform=True, dtype=np.float64)
    assert volume.array.sum() == pytest.approx(float(scalars.values.astype(float).sum()), rel=1e-12)
    indices = np.argwhere(scalars.values > 0.9)
    places = stack.affine @ np.column_stack([indices, np.ones(len(indices))]).T
    theirs = np.rint(np.linalg.inv(volume.affine) @ places)[:3].astype(int)
    assert np.array_equal(volume.array[tuple(theirs)], scalars.values[tuple(indices.T)])


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore:.*VR CS")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"BodyPartExamined": "CHEST"},
        {"BodyPartExamined": "KNEE"},
        {"BodyPartExamined": "KNEE", "Laterality": "R"},
        {"BodyPartExamined": "KNEE", "Laterality": "both"},
        {"BodyPartExamined": "not a code string!"},
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": 10, "LossyImageCompressionMethod": "ISO_10918_1"},
        {"SliceThickness": ""},
        {"modality": "MR"},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items())[:40],
)
def test_dciodvfy_finds_no_error_whatever_the_source_says_of_side_and_body_part(changes, tmp_path):
    stack = make_stack(make_series(**changes))
    path, _ = read(encode(stack, make_map(stack.shape))[0], tmp_path)
    assert dciodvfy_errors(path) == []


@pytest.mark.judge
def test_dciodvfy_finds_no_error_in_any_geometry(stack, tmp_path):
    path, _ = read(encode(stack, make_map(stack.shape))[0], tmp_path)
    assert dciodvfy_errors(path) == []


@pytest.mark.judge
def test_dciodvfy_is_no_judge_that_lets_everything_pass(tmp_path):
    stack = CORPUS["plain"]()
    (ds,) = encode(stack, make_map(stack.shape))
    del ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence
    path, _ = read(ds, tmp_path)
    assert any("MeasurementUnitsCodeSequence" in error for error in dciodvfy_errors(path))


OURS = {
    "ContentDescription", "ContentLabel", "ContributingEquipmentSequence",
    "DeviceSerialNumber", "DimensionIndexSequence", "DimensionOrganizationSequence",
    "InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime", "Manufacturer",
    "ManufacturerModelName", "Modality", "RecognizableVisualFeatures", "SeriesInstanceUID",
    "SOPInstanceUID", "SoftwareVersions",
    "SpecificCharacterSet",
}  # fmt: skip
"""What says who we are, or is better said otherwise: Modality is the source's, not OT (PS3.3 C.8.32.1 note), text is
UTF-8, uids and times derive from the job; that no face can be recognized in a map is not for us to promise."""

ONLY_OURS = {
    "BodyPartExamined", "ContentCreatorName", "DeviceUID", "SeriesDate", "SeriesDescription",
    "SeriesTime", "StationName",
}  # fmt: skip
"""ContentCreatorName is type 2; the others are IHE AIR's or of use to a reader."""
ONLY_THEIRS = {"SourceImageSequence"}
"""Optional: the source of each frame stands in its Derivation Image already."""


def test_it_has_the_attributes_that_highdicom_writes():
    slices = make_series(BodyPartExamined="CHEST")
    stack, scalars = make_stack(slices), make_map((5, 16, 18))
    (ours,) = encode(stack, scalars)
    theirs = _make_with_highdicom(slices, scalars)
    assert _names(ours) - _names(theirs) == ONLY_OURS
    assert _names(theirs) - _names(ours) == ONLY_THEIRS
    special = {"SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "FloatPixelData"}
    for name in (_names(ours) & _names(theirs)) - OURS - special:
        assert ours[name].value == theirs[name].value, name
    _compare_groups(ours, theirs)
    backwards = np.frombuffer(bytes(theirs.FloatPixelData), "<f4").reshape(5, 16, 18)[::-1]
    assert backwards.tobytes() == ours.FloatPixelData.getvalue()


def _compare_groups(ours, theirs):
    """Functional groups alike, but for the VOI function, the window's margin and the words on the derivation;
    highdicom puts frames in the order against the normal, and leaves Frame Anatomy out, which is mandatory."""
    one, other = ours.SharedFunctionalGroupsSequence[0], theirs.SharedFunctionalGroupsSequence[0]
    assert _names(one) - _names(other) == {"FrameAnatomySequence"}
    (anatomy,) = one.FrameAnatomySequence
    assert (anatomy.FrameLaterality, anatomy.AnatomicRegionSequence[0].CodeMeaning) == ("U", "Chest")
    for name in _names(other) - {"FrameVOILUTSequence"}:
        assert one[name].to_json_dict(None, 0) == other[name].to_json_dict(None, 0), name
    frames = zip(ours.PerFrameFunctionalGroupsSequence, theirs.PerFrameFunctionalGroupsSequence[::-1], strict=True)
    for one, other in frames:
        assert _names(one) == _names(other)
        for name in _names(one) - {"DerivationImageSequence", "FrameContentSequence"}:
            assert one[name].to_json_dict(None, 0) == other[name].to_json_dict(None, 0), name
        (mine,), (hers,) = one.DerivationImageSequence, other.DerivationImageSequence
        assert mine.SourceImageSequence[0].to_json_dict() == hers.SourceImageSequence[0].to_json_dict()


def _names(ds):
    return {element.keyword for element in ds}


def _make_with_highdicom(slices, scalars):
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=scalars.key[:16],
        lut_explanation=scalars.label,
        unit=hd.sr.CodedConcept("1", "UCUM", "no units"),
        value_range=(float(scalars.values.min()), float(scalars.values.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=hd.sr.CodedConcept("110854", "DCM", "Fractional Probabilistic Segmentation"),
    )
    return hd.pm.ParametricMap(
        slices, scalars.values, "1.2.3.9", 7007, "1.2.3.9.1", 1, "Testmaker Models", "lung-nodule", "1.2.0", "s",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1)],
    )  # fmt: skip


def test_what_the_numbers_are_and_in_which_unit_is_coded():
    stack = CORPUS["plain"]()
    (ds,) = encode(stack, make_map(stack.shape, low=-1000, high=3000, quantity=ATTENUATION, unit=HOUNSFIELD))
    (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "112031"
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1000, 3000), (0.3, 0.3), (-3e38, 3e38), (0, 1e-30), (5, 5.000001)])
def test_the_window_covers_all_values_and_the_mapping_too(low, high):
    stack = CORPUS["plain"]()
    scalars = make_map(stack.shape, low=low, high=high)
    shared = encode(stack, scalars)[0].SharedFunctionalGroupsSequence[0]
    (window,), (mapping,) = shared.FrameVOILUTSequence, shared.RealWorldValueMappingSequence
    center, width = float(window.WindowCenter), float(window.WindowWidth)
    lowest, highest = float(scalars.values.min()), float(scalars.values.max())
    assert width > 0
    assert center - width / 2 <= lowest <= highest <= center + width / 2
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == lowest
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == highest


def test_what_stands_for_no_value_is_the_padding_and_no_part_of_the_range(tmp_path):
    stack = CORPUS["plain"]()
    scalars = make_map(stack.shape, low=0.5, high=3.0, nothing=-1.0)
    scalars.values[:2, 3:, :] = -1.0
    path, ds = read(encode(stack, scalars)[0], tmp_path)
    assert ds.FloatPixelPaddingValue == ds.FloatPixelPaddingRangeLimit == -1.0
    assert np.array_equal(pixel_array(ds) == ds.FloatPixelPaddingValue, scalars.values == -1.0)
    (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    lowest = mapping.DoubleFloatRealWorldValueFirstValueMapped
    assert lowest == scalars.values[scalars.values > 0].min() >= 0.5
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == scalars.values.max()
    assert dciodvfy_errors(path) == []
    assert "FloatPixelPaddingValue" not in encode(stack, make_map(stack.shape))[0]


def test_a_map_without_any_value_is_refused():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="not finite"):
        encode(stack, make_map(stack.shape, values=np.full(stack.shape, -1, np.float32), nothing=-1.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_refused(value):
    stack = CORPUS["plain"]()
    scalars = make_map(stack.shape)
    scalars.values[3, 2, 1] = value
    with pytest.raises(EncodingError, match=r"'nodule-probability' holds values that are not finite"):
        encode(stack, scalars)


def test_another_shape_or_type_is_refused():
    stack = CORPUS["plain"]()
    with pytest.raises(EncodingError, match="shape"):
        encode(stack, make_map((5, 16, 17)))
    with pytest.raises(EncodingError, match="float64, not float32"):
        encode(stack, make_map(stack.shape, values=np.ones(stack.shape)))


def test_a_source_without_frame_of_reference_or_elsewhere_is_refused():
    stack = make_stack(make_series(FrameOfReferenceUID=None))
    with pytest.raises(EncodingError, match="FrameOfReferenceUID"):
        encode(stack, make_map(stack.shape))
    stack = CORPUS["plain"]()
    stack.affine[:3, 0] *= -1
    with pytest.raises(EncodingError, match="plane 1 of the stack"):
        encode(stack, make_map(stack.shape))


def test_every_map_is_an_object_and_a_series_of_its_own_and_none_makes_none():
    stack = CORPUS["plain"]()
    maps = [make_map(stack.shape), make_map(stack.shape, "saliency", 2, label="Saliency", quantity=SALIENCY)]
    made = encode(stack, *maps)
    assert [ds.SeriesDescription for ds in made] == [
        "AI, not reviewed: Nodule probability",
        "AI, not reviewed: Saliency",
    ]
    assert len({ds.SOPInstanceUID for ds in made}) == len({ds.SeriesInstanceUID for ds in made}) == 2
    assert encode(stack) == []


def test_it_says_that_a_machine_made_it_which_one_and_what_it_is_not_for():
    stack, author = CORPUS["plain"](), make_author()
    (ds,) = encode_parametric_maps(stack, make_result(make_map(stack.shape)), author)
    for group in ds.PerFrameFunctionalGroupsSequence:
        (derivation,) = group.DerivationImageSequence
        assert derivation.DerivationCodeSequence[0].CodeMeaning == "Artificial Intelligence"
        assert "lung-nodule 1.2.0, not reviewed" in derivation.DerivationDescription
        assert "Not for: primary diagnosis" in derivation.DerivationDescription
    assert ds.ContributingEquipmentSequence[-1].DeviceUID == author.device_uid
    assert ds.Modality == "CT"


def test_planes_against_the_normal_are_ranked_along_it():
    stack = CORPUS["reversed"]()
    (ds,) = encode(stack, make_map(stack.shape))
    indices = [group.FrameContentSequence[0].DimensionIndexValues for group in ds.PerFrameFunctionalGroupsSequence]
    assert indices == [5, 4, 3, 2, 1]


def test_the_same_result_makes_the_same_bytes_and_leaves_its_source_alone(stack, tmp_path):
    before = [copy.deepcopy(header) for header in stack.headers]
    for name in ("one", "two"):
        write_dicom(encode(stack, make_map(stack.shape))[0], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(stack.headers) == before


def test_writing_a_map_takes_no_more_memory_than_its_own_size(tmp_path):
    stack = make_stack(make_series((20, 512, 512)))
    result = make_result(make_map(stack.shape))
    tracemalloc.start()
    write_dicom(encode_parametric_maps(stack, result, make_author())[0], tmp_path / "map.dcm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * result.maps[0].values.nbytes
