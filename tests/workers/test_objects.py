"""Each destination gets the kinds that it wants, its segmentation in the form that it takes, and reports that fit."""

import numpy as np
import pytest
from pydicom import dcmread

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from node.model.delivery import Kind
from node.outbound.outbox import KINDS
from node.sections import Peer
from pipelines.terms import Code, Registration, Result, ScalarMap
from tests.judges import dciodvfy_errors
from tests.judges.pixelmed import drop_strangers, report_errors
from tests.results import make_author, make_empty_result, make_finding, make_result, make_segment
from tests.series import make_series, write_series
from workers.objects import Answer, encode_objects

SHAPE = (12, 24, 26)
LABELMAP, BINARY = "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.66.4"
EVERYTHING = list(Kind)


def make_answer(folder, result):
    (stack,), _ = read_stacks(write_series(make_series(SHAPE), folder))
    earlier = make_series(SHAPE, StudyInstanceUID="1.2.7.1", SeriesInstanceUID="1.2.7.2", FrameOfReferenceUID="1.2.7.3")
    (prior,), _ = read_stacks(write_series(earlier, folder / "prior"))
    return Answer(stack, load_volume(stack), result, make_author(), ("Series 1 was read.",), (prior,))


def apart():
    """Two segments that do not overlap."""
    masks = np.zeros((2, *SHAPE), bool)
    masks[0, 2:6, 4:10, 4:10], masks[1, 6:9, 12:20, 12:20] = True, True
    segments = tuple(make_segment(mask, key) for mask, key in zip(masks, ("one", "two"), strict=True))
    values = ScalarMap(
        "p", "Probability", np.full(SHAPE, 0.5, np.float32), Code("C0", "99TEST", "p"), Code("1", "UCUM", "1")
    )
    motion = Registration("prior", "1.2.7.3", "earlier study on this", np.eye(4))
    return Result(segments, (make_finding("one"), make_finding("two")), maps=(values,), registrations=(motion,))


def make_peer(**choices):
    return Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", **choices})


def encode(folder, result, **peers):
    """(made, destination -> the datasets that it gets)."""
    made = encode_objects(make_answer(folder, result), {name: make_peer(**choices) for name, choices in peers.items()})
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in made.datasets}
    assert len(by_uid) == len(made.datasets)
    return made, {name: [by_uid[uid] for uid in uids] for name, uids in made.shares.items()}


def kinds(datasets):
    return [KINDS[str(dataset.SOPClassUID)] for dataset in datasets]


def named_segmentation(report):
    """The SOP Instance UIDs of segmentations in the report's evidence."""
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    references = [r for series in study.ReferencedSeriesSequence for r in series.ReferencedSOPSequence]
    return [r.ReferencedSOPInstanceUID for r in references if r.ReferencedSOPClassUID in {LABELMAP, BINARY}]


def walk(item):
    """All content items below."""
    for child in item.get("ContentSequence") or ():
        yield child
        yield from walk(child)


def test_by_default_a_destination_gets_binary_and_a_report_that_names_it(tmp_path):
    made, got = encode(tmp_path, apart(), pacs={})
    segmentation, report = got["pacs"]
    assert segmentation.SOPClassUID == BINARY
    assert named_segmentation(report) == [segmentation.SOPInstanceUID]
    assert (len(made.datasets), made.substitutes) == (2, {})


def test_without_destinations_binary_and_report_lie_in_the_outbox(tmp_path):
    made, _ = encode(tmp_path, apart())
    assert kinds(made.datasets) == [Kind.SEGMENTATION, Kind.REPORT]


def test_a_label_map_goes_out_with_its_own_report_and_binary_stands_by_for_both(tmp_path):
    made, got = encode(tmp_path, apart(), new={"segmentation": "labelmap"}, old={})
    (label_map, its_report), (binary, report) = got["new"], got["old"]
    assert (label_map.SOPClassUID, binary.SOPClassUID) == (LABELMAP, BINARY)
    assert named_segmentation(its_report) == [label_map.SOPInstanceUID]
    assert named_segmentation(report) == [binary.SOPInstanceUID]
    assert made.substitutes == {
        label_map.SOPInstanceUID: binary.SOPInstanceUID,
        its_report.SOPInstanceUID: report.SOPInstanceUID,
    }


def test_segments_that_overlap_go_out_as_binary_whatever_is_wished(tmp_path):
    made, got = encode(tmp_path, make_result(SHAPE, 2), new={"segmentation": "labelmap"})
    assert got["new"][0].SOPClassUID == BINARY
    assert made.substitutes == {}


def test_who_is_sent_no_segmentation_gets_a_report_that_names_none(tmp_path):
    _, got = encode(tmp_path, apart(), reader={"objects": ["report"]}, pacs={})
    (alone,) = got["reader"]
    assert named_segmentation(alone) == []
    assert alone.SOPInstanceUID not in {dataset.SOPInstanceUID for dataset in got["pacs"]}


def test_nothing_found_is_one_report_for_all(tmp_path):
    made, got = encode(
        tmp_path, make_empty_result(), new={"segmentation": "labelmap"}, old={}, reader={"objects": ["report"]}
    )
    assert kinds(made.datasets) == [Kind.REPORT]
    assert {name: len(datasets) for name, datasets in got.items()} == {"new": 1, "old": 1, "reader": 1}


def test_every_kind_is_made_once_however_many_want_it(tmp_path):
    made, got = encode(tmp_path, apart(), a={"objects": EVERYTHING}, b={"objects": EVERYTHING})
    assert sorted(kinds(made.datasets)) == sorted([*Kind, Kind.CAPTURE])  # of the findings, and of the map
    assert [d.SOPInstanceUID for d in got["a"]] == [d.SOPInstanceUID for d in got["b"]]


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_destination_gets_the_kinds_it_wants_and_no_other(tmp_path, kind):
    _, got = encode(tmp_path, apart(), picky={"objects": [kind]})
    assert kinds(got["picky"]) == [kind] * (2 if kind == Kind.CAPTURE else 1)  # of the findings, and of the map


def test_a_kind_that_cannot_be_made_of_these_images_is_left_out_and_the_report_says_so(tmp_path):
    slices = make_series(SHAPE, RescaleSlope=-1.0)
    (stack,), _ = read_stacks(write_series(slices, tmp_path))
    answer = Answer(stack, load_volume(stack), apart(), make_author())
    made = encode_objects(answer, {"pacs": make_peer(objects=["segmentation", "report", "presentation"])})
    assert kinds(made.datasets) == [Kind.SEGMENTATION, Kind.REPORT]
    sentences = [item.TextValue for item in walk(made.datasets[1]) if "TextValue" in item]
    assert any(sentence.startswith("No presentation object was made") for sentence in sentences)


def test_the_same_answer_makes_the_same_objects(tmp_path):
    first, _ = encode(tmp_path / "a", apart(), pacs={"objects": EVERYTHING, "segmentation": "labelmap"})
    again, _ = encode(tmp_path / "b", apart(), pacs={"objects": EVERYTHING, "segmentation": "labelmap"})
    assert [d.SOPInstanceUID for d in first.datasets] == [d.SOPInstanceUID for d in again.datasets]
    assert first.shares == again.shares


def read_links(report):
    """(what it shows, SOP Instance UID) of the images that go with the report."""
    for section in report.ContentSequence:
        if section.ConceptNameCodeSequence[0].CodeValue == "121180":
            return [
                (item.ConceptNameCodeSequence[0].CodeValue, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
                for item in section.ContentSequence
            ]
    return []


def pick(datasets, kind):
    return [dataset for dataset in datasets if KINDS[str(dataset.SOPClassUID)] == kind]


def test_a_report_names_the_maps_and_their_pictures_that_are_sent_with_it_and_no_others(tmp_path):
    own = ["segmentation", "report"]
    made, got = encode(
        tmp_path, apart(), both={"objects": EVERYTHING}, none={"objects": own}, map={"objects": [*own, "map"]},
        picture={"objects": [*own, "capture"]}, small={"objects": ["report", "map"], "segmentation": "labelmap"},
    )  # fmt: skip
    assert len(pick(made.datasets, Kind.SEGMENTATION)) == 1
    for name, wanted in (("both", 2), ("none", 0), ("map", 1), ("picture", 1), ("small", 1)):
        (report,) = pick(got[name], Kind.REPORT)
        links = read_links(report)
        assert len(links) == wanted, name
        sent = {dataset.SOPInstanceUID for dataset in got[name]}
        assert {uid for _, uid in links} <= sent
        assert {shows for shows, _ in links} <= {"C0"}
        assert set(evidence(report)) - {h.SOPInstanceUID for h in made_headers(tmp_path)} <= sent
    shown = {uid for _, uid in read_links(pick(got["both"], Kind.REPORT)[0])}
    assert {d.SOPInstanceUID for d in pick(got["both"], Kind.MAP)} < shown
    assert len({pick(got[name], Kind.REPORT)[0].SOPInstanceUID for name in got}) == 5


def evidence(report):
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    return [
        r.ReferencedSOPInstanceUID for series in study.ReferencedSeriesSequence for r in series.ReferencedSOPSequence
    ]


def made_headers(folder):
    (stack,), _ = read_stacks(sorted(folder.glob("*.dcm")))
    return stack.headers


def test_a_label_map_with_links_has_a_binary_that_stands_by_with_the_same(tmp_path):
    objects = ["segmentation", "report", "map"]
    made, got = encode(tmp_path, apart(), pacs={"objects": objects, "segmentation": "labelmap"})
    segmentation, report, scalars = got["pacs"]
    assert segmentation.SOPClassUID == LABELMAP
    stand_in = next(d for d in made.datasets if d.SOPInstanceUID == made.substitutes[str(report.SOPInstanceUID)])
    assert read_links(report) == read_links(stand_in) == [("C0", scalars.SOPInstanceUID)]


@pytest.mark.judge
def test_judges_find_no_error_in_a_report_with_links_nor_in_what_it_names(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    _, got = encode(place, apart(), pacs={"objects": ["segmentation", "report", "map", "capture"]})
    paths = []
    for n, dataset in enumerate(got["pacs"]):
        paths.append(tmp_path / f"{n}.dcm")
        write_dicom(dataset, paths[-1])
    assert len(paths) == 5
    assert [dciodvfy_errors(path) for path in paths] == [[]] * 5
    (report,) = [path for path, dataset in zip(paths, got["pacs"], strict=True) if dataset.Modality == "SR"]
    assert drop_strangers(report_errors([report])[report], dcmread(report)) == []
