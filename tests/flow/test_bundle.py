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


def route_to(house, pipeline):
    text = house.config.read_text()
    house.config.write_text(text.replace('pipeline = "threshold"', f'pipeline = "{pipeline}"'))


def test_a_bundle_is_added_and_its_seg_arrives_with_coded_concepts(house, make_study, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    assert "tiny 1.0.0 in" in ask(house, "pipelines", "add", str(bundle), "--name", "tiny")
    assert "(78961009, SCT, 'Spleen')" in ask(house, "pipelines", "show", "tiny")
    route_to(house, "tiny")
    house.start()
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


def test_a_bundle_that_needs_concepts_fails_its_jobs_by_name(house, make_study, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    path = bundle / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"spleen"', '"gizmo"'))
    assert "needs concepts: gizmo" in ask(house, "pipelines", "add", str(bundle), "--name", "tiny")
    assert "needs concepts" in ask(house, "pipelines")
    route_to(house, "tiny")
    house.start()
    study, _, files = make_study()
    house.send(files)
    (job,) = house.finish(study, 120)
    assert job.state == State.FAILED
    assert job.reason.startswith("NeedsConcepts: 'gizmo' of tiny")


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
