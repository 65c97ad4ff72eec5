"""Every attribute is held against the Standard's tables, at any depth; a fault names its place, never a value."""

import struct
from io import BytesIO

import pydicom
import pytest
from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword

from node.dicom.gate.attributes import AttributeFault, check_attributes
from node.dicom.gate.conditions import ALL, TAGS
from node.dicom.gate.frames import check_frames
from node.dicom.gate.iod_tables import find_sop_classes, get_iod
from node.dicom.gate.values import find_fault, is_moment
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.outbound.outbox import KINDS
from tests.results import make_author, make_result, make_stack
from tests.series import make_series

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of a segmentation and of its report."""
    stack, author, folder = make_stack(make_series()), make_author(), tmp_path_factory.mktemp("gate")
    result = make_result(stack.shape, 2)
    segmentation = encode_segmentation(stack, result, author)
    for ds in (segmentation, encode_report(stack, result, author, segmentation)):
        write_dicom(ds, folder / ds.Modality)
    return {modality: (folder / modality).read_bytes() for modality in ("SEG", "SR")}


@pytest.fixture
def segmentation(files):
    return pydicom.dcmread(BytesIO(files["SEG"]))


@pytest.fixture
def report(files):
    return pydicom.dcmread(BytesIO(files["SR"]))


def find_place(ds):
    with pytest.raises(AttributeFault) as caught:
        check_frames(ds, check_attributes(ds))
    return str(caught.value)


def test_a_good_object_has_no_fault(segmentation, report):
    check_frames(segmentation, check_attributes(segmentation))
    check_attributes(report)


@pytest.mark.parametrize("keyword", ["ContentLabel", "ImageType", "SegmentSequence", "Rows", "Manufacturer"])
def test_what_is_of_type_1_is_there_and_has_a_value(segmentation, keyword):
    element = segmentation[keyword]
    segmentation[keyword] = DataElement(element.tag, element.VR, [] if element.VR == "SQ" else None)
    assert find_place(segmentation).startswith(keyword)
    del segmentation[keyword]
    assert find_place(segmentation).startswith(f"{keyword} is absent (type 1")


@pytest.mark.parametrize("keyword", ["PatientBirthDate", "AccessionNumber", "ContentDescription", "StudyID"])
def test_what_is_of_type_2_is_there_but_may_be_empty(segmentation, keyword):
    segmentation[keyword].value = None
    check_attributes(segmentation)
    del segmentation[keyword]
    assert find_place(segmentation).startswith(f"{keyword} is absent (type 2")


def test_an_optional_module_is_whole_or_not_there(segmentation):
    segmentation.ClinicalTrialSponsorName = "Sponsor"
    assert "module clinical-trial-subject" in find_place(segmentation)
    segmentation.ClinicalTrialProtocolID, segmentation.ClinicalTrialProtocolName = "P", ""
    segmentation.ClinicalTrialSiteID = segmentation.ClinicalTrialSiteName = ""
    segmentation.ClinicalTrialSubjectID = "S"
    check_attributes(segmentation)


def test_a_fault_names_the_place_where_it_lies(segmentation, report):
    del segmentation.SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion
    assert find_place(segmentation) == (
        "SegmentSequence[2].SegmentationAlgorithmIdentificationSequence[1].AlgorithmVersion is absent (type 1)"
    )
    del report.ContentSequence[2].ValueType
    assert find_place(report) == "ContentSequence[3].ValueType is absent (type 1)"


def test_a_fault_in_a_frame_is_found_in_bytes_and_in_objects(segmentation):
    raw = segmentation.get_item(0x52009230)
    assert isinstance(raw, pydicom.dataelem.RawDataElement)
    segmentation[raw.tag] = raw._replace(value=raw.value.replace(b"YES ", b"OUI "))
    spoiled = "PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[1].SourceImageSequence[1]"
    assert find_place(segmentation).startswith(f"{spoiled}.SpatialLocationsPreserved is none of the values")
    assert len(segmentation.PerFrameFunctionalGroupsSequence) > 1  # now they are objects
    assert find_place(segmentation).startswith(f"{spoiled}.SpatialLocationsPreserved is none of the values")


def test_a_fault_in_the_last_frame_alone_is_found(segmentation):
    raw = segmentation.get_item(0x52009230)
    head, _, tail = raw.value.rpartition(b"YES ")
    segmentation[raw.tag] = raw._replace(value=head + b"OUI " + tail)
    assert "SpatialLocationsPreserved" in find_place(segmentation)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("tag", "spoil", "place"),
    [
        ((0x0008, 0x1155), lambda value: b"x" * len(value), "SourceImageSequence.ReferencedSOPInstanceUID is no UI"),
        ((0x0008, 0x1155), lambda value: b"\0" * len(value), "SourceImageSequence.ReferencedSOPInstanceUID is empty"),
        ((0x0020, 0x0032), lambda value: b"nan".ljust(len(value)), "PlanePositionSequence.ImagePositionPatient"),
        ((0x0020, 0x0032), lambda value: b"1".ljust(len(value)), "ImagePositionPatient has 1 values"),
    ],
)
def test_a_fault_in_what_differs_from_plane_to_plane_is_found(segmentation, tag, spoil, place):
    raw = segmentation.get_item(0x52009230)
    start = raw.value.rindex(struct.pack("<HH", *tag)) + 8
    size = int.from_bytes(raw.value[start - 2 : start], "little")
    spoiled = raw.value[:start] + spoil(raw.value[start : start + size]) + raw.value[start + size :]
    segmentation[raw.tag] = raw._replace(value=spoiled)
    found = find_place(segmentation)
    assert found.startswith("PerFrameFunctionalGroupsSequence[")
    assert place in found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "vr", "value", "why"),
    [
        ("ContentLabel", "CS", "small letters", "is no CS"),
        ("ContentLabel", "CS", "A" * 17, "is no CS"),
        ("ContentLabel", "LO", "LABEL", "has VR LO"),
        ("ContentLabel", "CS", ["A", "B"], "has 2 values"),
        ("SeriesDescription", "LO", "x" * 65, "is no LO"),
        ("SeriesDescription", "LO", "two\nlines", "has control characters"),
        ("SeriesDescription", "LO", "half a pair \ud83d", "UTF-8 cannot write"),
        ("SpecificCharacterSet", "CS", "ISO_IR 6", "beyond its character set"),
        ("InstanceNumber", "IS", "99999999999", "is beyond 32 bits"),
        ("SeriesDate", "DA", "20240231", "is not a date"),
        ("SeriesTime", "TM", "2561", "is not a date or time"),
        ("SeriesDate", "DA", "2024", "is not a date"),
        ("SeriesInstanceUID", "UI", "1.02.3", "is no UI"),
        ("PatientID", "SH", "P-1", "has VR SH"),
        ("LossyImageCompression", "CS", "NO", "is none of the values"),
        ("SegmentsOverlap", "CS", "MAYBE", "is none of the values"),
        ("SamplesPerPixel", "US", 3, "is none of the values"),
        ("SegmentSequence", "LO", "text", "has VR LO"),
        ("Rows", "SQ", [Dataset()], "is a sequence"),
    ],
)
def test_a_value_is_what_its_attribute_allows(segmentation, keyword, vr, value, why):
    if keyword == "SpecificCharacterSet":
        segmentation.SeriesDescription = "AI: Größe"
    segmentation[keyword] = DataElement(tag_for_keyword(keyword), vr, value)
    place = find_place(segmentation)
    assert why in place
    assert "Größe" not in place and "small letters" not in place and "1.02.3" not in place


def test_items_are_counted_and_not_empty(segmentation):
    kinds = segmentation.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    kinds.append(kinds[0])
    assert find_place(segmentation) == "SegmentSequence[1].SegmentedPropertyTypeCodeSequence has more items than 1"
    kinds.pop()
    segmentation.DimensionOrganizationSequence.append(Dataset())
    assert find_place(segmentation) == "DimensionOrganizationSequence has an empty item 2"


def test_what_is_private_or_of_another_object_has_no_place(segmentation):
    segmentation.SegmentSequence[0].private_block(0x0099, "Somebody", create=True).add_new(1, "LO", "x")
    assert find_place(segmentation) == "SegmentSequence[1].(0099,0010) is private"
    del segmentation.SegmentSequence[0][0x00990010], segmentation.SegmentSequence[0][0x00991001]
    segmentation.KVP = 120
    assert find_place(segmentation) == "KVP is none of its IOD's"


def test_what_the_source_says_of_itself_is_not_judged(segmentation):
    segmentation.PatientSex = "X"
    assert find_place(segmentation) == "PatientSex is none of the values that the Standard enumerates"
    check_attributes(segmentation, copied={tag_for_keyword("PatientSex"): {"X"}})


@pytest.mark.parametrize("condition", ALL, ids=lambda one: f"{one.trigger} {one.needs[0]}")
def test_each_condition_names_what_it_demands(condition):
    trigger = TAGS[condition.trigger]
    elements = {trigger: DataElement(trigger, pydicom.datadict.dictionary_VR(trigger), None)}
    assert condition.find_missing(elements) == condition.needs[0]
    for need in condition.needs:
        vr = pydicom.datadict.dictionary_VR(TAGS[need]).split(" or ")[0]
        value = {"SQ": [Dataset()], "US": 1, "FL": 1.0, "DS": "1", "IS": "1", "DA": "20240101", "OW": b"1"}.get(vr, "1")
        given = elements | {TAGS[need]: DataElement(TAGS[need], vr, value, already_converted=True)}
        assert condition.find_missing(given) is None


def test_the_tables_hold_every_class_that_we_send():
    assert set(find_sop_classes()) == {*KINDS, "1.2.840.10008.5.1.4.1.1.7.4"}  # of several planes, a capture too
    for uid in find_sop_classes():
        iod = get_iod(uid)
        names = [name for name, _, _ in iod.modules]
        assert {"patient", "general-study", "sop-common"} <= set(names)
        for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "Modality"):
            assert iod.whole.rules[tag_for_keyword(keyword)].type in {"1", "2"}
    with pytest.raises(KeyError):
        get_iod("1.2.840.10008.5.1.4.1.1.2")


def test_the_tables_say_what_the_standard_says():
    rules = get_iod(SEG).whole.rules
    assert rules[tag_for_keyword("Modality")].values == {"SEG"}
    assert rules[tag_for_keyword("SegmentationType")].values == {"BINARY", "FRACTIONAL", "LABELMAP"}
    segment = rules[tag_for_keyword("SegmentSequence")]
    assert (segment.type, segment.count) == ("1", (1, None))
    inner = segment.items.rules
    assert inner[tag_for_keyword("SegmentNumber")].type == "1"
    assert inner[tag_for_keyword("SegmentedPropertyTypeCodeSequence")].count == (1, 1)
    item = get_iod(SR).whole.rules[tag_for_keyword("ContentSequence")].items
    assert item.rules[tag_for_keyword("ContentSequence")].items is item  # a tree as deep as it likes


@pytest.mark.parametrize(
    ("vr", "text", "good"),
    [
        ("DA", "20240229", True),
        ("DA", "20230229", False),
        ("DA", "20240101-20240102", False),
        ("TM", "235959.123456", True),
        ("TM", "240000", False),
        ("TM", "1200", False),
        ("DT", "20240102040506+0100", True),
        ("DT", "20240102040506.5-0000", True),
        ("DT", "2024", False),
    ],
)
def test_a_moment_is_whole_and_is_in_the_calendar(vr, text, good):
    assert is_moment(vr, text) is good


@pytest.mark.parametrize(
    ("vr", "value", "good"),
    [
        ("FD", float("nan"), False),
        ("DS", pydicom.valuerep.DSfloat(0.1), True),
        ("DS", 1 / 3, False),
        ("UT", "a line\r\nand another\twith a tab", True),
        ("UT", "a bell\x07", False),
        ("PN", pydicom.valuerep.PersonName("山田^太郎"), True),
        ("UI", "1.2.840", True),
        ("UR", "http://example.org/a b", False),
        ("DA", "20240101-", False),
    ],
)
def test_a_value_is_what_its_vr_allows(vr, value, good):
    assert (find_fault(vr, value, True) is None) is good
