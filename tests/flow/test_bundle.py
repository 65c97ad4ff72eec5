"""The whole loop with a MONAI bundle: added at the command line, routed like any pipeline, its SEG coded."""

import json
import subprocess
import sys

import pytest
from pydicom import dcmread

from node.model.job import State
from tests.flow.house import House
from tests.pipelines.bundles.made import CONFIGS, make_bundle


@pytest.fixture
def house(tmp_path):
    folder = tmp_path / "house"
    folder.mkdir()
    home = House(folder)
    yield home
    if home.process is not None:
        home.close()


def ask(house, *words, code=0):
    command = [sys.executable, "-m", "node.cli", *words]
    answer = subprocess.run(
        command, env=house.environment, capture_output=True, text=True, check=False, cwd=CONFIGS.parents[1]
    )
    assert answer.returncode == code, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


ROUTE = """
[[routes]]
name = "what needs concepts"
when = { Modality = "CT", SeriesDescription = "gizmo" }
pipeline = "gizmo"
deliver = ["pacs"]
"""


def add_routes(house):
    """CT to "tiny"; a series that is described as "gizmo" to that pipeline instead."""
    text = house.config.read_text()
    text = text.replace('{ Modality = "CT" }', '{ Modality = "CT", SeriesDescription = { none = ["gizmo"] } }')
    text = text.replace('pipeline = "threshold"', 'pipeline = "tiny"')
    house.config.write_text(text + ROUTE)


def test_a_bundle_s_seg_arrives_with_coded_concepts_and_one_that_needs_them_fails_by_name(house, make_study, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    assert "tiny 1.0.0 in" in ask(house, "pipelines", "add", str(bundle), "--name", "tiny")
    assert "Spleen (78961009 SCT)" in ask(house, "pipelines", "show", "tiny")
    path = bundle / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"spleen"', '"gizmo"'))
    assert "needs concepts: gizmo" in ask(house, "pipelines", "add", str(bundle), "--name", "gizmo")
    assert "needs concepts" in ask(house, "pipelines")
    add_routes(house)
    house.start()
    assert_that_the_seg_is_coded(house, make_study)
    study, _, files = make_study(folder="gizmo", SeriesDescription="gizmo")
    house.send(files)
    (job,) = house.finish(study, 120)
    assert job.state == State.FAILED
    assert job.reason.startswith("NeedsConcepts: 'gizmo' of gizmo")


def assert_that_the_seg_is_coded(house, make_study):
    study, slices, files = make_study()
    house.send(files)
    (job,) = house.finish(study, 240)
    assert job.state == State.CONFIRMED, job.reason
    seg, report = (dcmread(path) for path in house.received(study))
    (segment,) = seg.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "78961009"
    assert segment.SegmentAlgorithmName
    assert seg.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    assert report.Modality == "SR"


def test_the_command_line_refuses_and_removes_by_name(house, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="")
    path = bundle / "configs" / "inference.json"
    good = path.read_text()
    path.write_text(json.dumps(json.loads(good) | {"x": {"_target_": "os.system", "command": "true"}}))
    said = ask(house, "pipelines", "add", str(bundle), code=1)
    assert "BundleRefused: x#_target_: _target_ 'os.system'" in said
    assert "sha256" in said
    path.write_text(good)
    ask(house, "pipelines", "add", str(bundle), "--name", "tiny")
    assert "installed already" in ask(house, "pipelines", "add", str(bundle), "--name", "tiny", code=1)
    assert "another pipeline" in ask(house, "pipelines", "add", str(bundle), "--name", "lung-seg", code=1)
    assert "removed" in ask(house, "pipelines", "remove", "tiny")
    assert "no pipeline 'tiny'" in ask(house, "pipelines", "show", "tiny", code=1)
    assert "cannot be downloaded" in ask(house, "pipelines", "add", "spleen_ct_segmentation@0.5.9", code=1)
