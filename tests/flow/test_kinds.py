"""A destination that wants everything gets every kind of object, each confirmed; refusals carry their code."""

import pytest
from pydicom import dcmread

from node.dicom.read_report import find_refusal_reason
from node.model.delivery import Kind
from node.model.job import State
from node.outbound.outbox import KINDS
from tests.flow.house import House

WANTED = [kind for kind in Kind if kind not in {Kind.MAP, Kind.REGISTRATION}]
"""The pipeline of these tests makes no maps, and compares no two studies."""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = House(tmp_path_factory.mktemp("house"))
    text = home.config.read_text()
    objects = f'confirm = "commitment"\nsegmentation = "labelmap"\nobjects = {[str(kind) for kind in WANTED]}'
    home.config.write_text(text.replace('confirm = "commitment"', objects))
    home.start()
    yield home
    home.close()


def test_every_kind_arrives_and_is_confirmed(house, make_study):
    study, slices, files = make_study()
    house.send(files)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED
    received = [dcmread(path) for path in house.received(study)]
    assert sorted(KINDS[str(dataset.SOPClassUID)] for dataset in received) == sorted(WANTED)
    assert {str(dataset.PatientID) for dataset in received} == {str(slices[0].PatientID)}
    label_map = next(d for d in received if KINDS[str(d.SOPClassUID)] == Kind.SEGMENTATION)
    assert label_map.SegmentationType == "LABELMAP"
    assert int((label_map.pixel_array == 1).sum()) == 4 * 10 * 10


def test_a_refusal_says_why_as_a_code(house, make_study):
    study, _, files = make_study()
    house.send([path for k, path in enumerate(files) if k != 5])
    (job,) = house.finish(study)
    assert job.state == State.FAILED
    house.wait_until(lambda: len(house.received(study)) == 2, 20)
    report, picture = sorted((dcmread(path) for path in house.received(study)), key=lambda ds: ds.Modality != "SR")
    assert find_refusal_reason(report).value == "R111"
    assert (picture.Modality, picture.SeriesDescription[:14]) == ("OT", "AI DID NOT RUN")
