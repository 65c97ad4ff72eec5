"""`wetread evaluate` on a folder of cases: DICOM, NIfTI and npz, each with its kind of reference."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import node.evaluate
from node.cli import app
from node.dicom.segmentation import encode_segmentation
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand
from pipelines.terms import Result, Segment, get_manifest
from tests.corpus import read_stack
from tests.results import ANATOMY, LUNG, make_author, make_finding
from tests.series import make_series, write_series
from workers.cases import find_cases
from workers.evaluation import evaluate

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (6, 16, 18)


def make_hu():
    hu = np.full(SHAPE, -50.0, np.float32)
    hu[2:4, 4:12, 5:13] = 900.0
    return hu


def make_dicom_case(folder):
    stack = read_stack(make_series(voxels=(make_hu() + 1024).astype(np.int16)), folder / "images")
    segment = Segment("bone", "Bone", ANATOMY, LUNG, load_volume(stack).voxels > 300)
    result = Result((segment,), (make_finding("bone"),))
    (folder / "reference").mkdir()
    encode_segmentation(stack, result, make_author()).save_as(
        folder / "reference" / "seg.dcm", enforce_file_format=True
    )


def make_nifti_case(folder):
    """The same, stored left to right and front to back."""
    (folder / "reference").mkdir(parents=True)
    affine = np.diag([0.7, 0.8, 1.5, 1.0])
    hu = make_hu().T
    nibabel.save(nibabel.Nifti1Image(hu, affine), folder / "image.nii.gz")
    # The labels on a grid that is turned about: another order of axes, one of them backward.
    turned = affine.copy()[:, [1, 0, 2, 3]]
    turned[:3, 3] += turned[:3, 0] * (hu.shape[1] - 1)
    turned[:3, 0] *= -1
    labels = np.where(hu > 300, 7, 0).astype(np.uint8).transpose(1, 0, 2)[::-1]
    nibabel.save(nibabel.Nifti1Image(labels, turned), folder / "reference" / "atlas.nii.gz")
    (folder / "reference" / "atlas.json").write_text('{"7": "bone", "8": "liver"}')
    # The middle of the block: NIfTI's RAS has it at (5.95, 6, 3.75).
    point = {"center_mm": [-5.95, -6.0, 3.75], "radius_mm": 1}
    (folder / "reference" / "answers.json").write_text(json.dumps({"points": [point]}))


def make_array_case(folder, **card):
    """The reference is half of what is bright; and one point of two lies in it."""
    (folder / "reference").mkdir(parents=True)
    affine = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    np.savez(folder / "image.npz", voxels=make_hu(), affine=affine)
    half = np.zeros(SHAPE, np.uint8)
    half[2:4, 4:8, 5:13] = 1
    np.savez(folder / "reference" / "bone.npz", labels=half, affine=affine)
    points = [{"center_mm": [8.5, 7.5, 2.5], "radius_mm": 2}, {"center_mm": [1, 1, 1], "radius_mm": 2}]
    (folder / "reference" / "answers.json").write_text(json.dumps({"points": points}))
    (folder / "case.json").write_text(json.dumps(card))


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "cases"
    make_dicom_case(folder / "dicom")
    make_nifti_case(folder / "nifti")
    make_array_case(folder / "half", patient="p")
    make_array_case(folder / "head", modality="MR", patient="p")
    (folder / "dataset.json").write_text('{"note": "Made."}')
    return folder


def test_every_kind_of_case_is_judged_and_the_worst_is_shown(dataset, plugin, tmp_path):
    said = evaluate("bright-bone", dataset, tmp_path / "out", "wetread evaluate bright-bone cases", "cpu")
    cases = {case["case"]: case for case in said["cases"]}
    assert cases["dicom"]["dice"] == {"Bone": 1.0}
    assert cases["nifti"]["dice"] == {"bone": 1.0, "liver": 1.0}
    assert cases["nifti"]["hits"] == (1.0,)
    assert cases["half"]["dice"]["bone"] == pytest.approx(2 / 3)
    assert cases["half"]["hits"] == (1.0, 0.0)
    assert cases["head"]["refused"] == "UnsuitableVolume: bone is read from CT, not from MR"
    assert said["worst"] == "head"
    assert Image.open(said["picture"]).size[0] > 500
    assert "Made." in said["markdown"]
    assert get_manifest("bright-bone").version == said["version"]
    assert json.loads(json.dumps(said))["bootstrap"] == {"draws": 2000, "seed": 0}


def test_a_case_whose_images_are_not_even_read_counts_as_nothing_found(plugin, tmp_path):
    case = tmp_path / "cases" / "a"
    make_dicom_case(case)
    make_array_case(tmp_path / "b")
    for name in ("bone.npz", "answers.json"):
        (tmp_path / "b" / "reference" / name).rename(case / "reference" / name)
    write_series(make_series(Modality="MR"), tmp_path / "elsewhere")
    (case / "case.json").write_text('{"images": "../../elsewhere"}')
    said = evaluate("bright-bone", tmp_path / "cases", tmp_path / "out", "", "cpu")
    assert said["cases"][0]["refused"].startswith("NoMatchingSeries")
    assert said["cases"][0]["dice"] == {"Bone": 0.0, "bone": 0.0}


def test_json_is_one_object_and_nothing_else(monkeypatch, tmp_path):
    said = {"tables": [], "warnings": [], "cases": [], "worst": "", "picture": "", "markdown": "", "note": "[hnsf'U]"}
    monkeypatch.setattr(node.evaluate, "listen_to", lambda *_: said)
    answer = CliRunner().invoke(app, ["evaluate", "lung-seg", str(tmp_path), "--json"])
    assert json.loads(answer.stdout) == said


def test_the_command_prints_tables_and_writes_markdown(dataset, plugin, tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{plugin}{os.pathsep}{ROOT}", "COLUMNS": "150"}
    (tmp_path / "wetread.toml").write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    words = ["evaluate", "bright-bone", str(dataset), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "node.cli", *words, "--config", str(tmp_path / "wetread.toml")]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "worst case: head" in shown
    assert (tmp_path / "out" / "bright-bone.md").read_text().startswith("## bright-bone 0.1.0")


def test_what_is_no_dataset_is_refused_by_its_path(tmp_path):
    with pytest.raises(CannotUnderstand, match="holds no case"):
        find_cases(tmp_path, "CT")
    (tmp_path / "a" / "reference").mkdir(parents=True)
    with pytest.raises(CannotUnderstand, match="holds no images"):
        find_cases(tmp_path, "CT")
    (tmp_path / "a" / "image.nii.gz").touch()
    with pytest.raises(CannotUnderstand, match="reference is empty"):
        find_cases(tmp_path, "CT")


@pytest.mark.parametrize("text", ["{", "[]", '{"points": [{"center_mm": [1, 2]}]}', '{"pointz": []}'])
def test_answers_that_cannot_be_read_name_their_file(text, plugin, tmp_path):
    make_array_case(tmp_path / "cases" / "a")
    (tmp_path / "cases" / "a" / "reference" / "answers.json").write_text(text)
    with pytest.raises(CannotUnderstand, match=r"a/reference/answers\.json"):
        find_cases(tmp_path / "cases", "CT")


def test_a_slip_in_a_key_of_a_case_is_named(tmp_path):
    make_array_case(tmp_path / "cases" / "a", patien="p")
    with pytest.raises(CannotUnderstand, match=r"case\.json: 'patien' is none of its keys"):
        find_cases(tmp_path / "cases", "CT")


def test_a_name_by_which_nothing_is_ever_found_is_told(plugin, tmp_path):
    make_array_case(tmp_path / "cases" / "a")
    (tmp_path / "cases" / "a" / "reference" / "bone.npz").rename(tmp_path / "cases" / "a" / "reference" / "bonn.npz")
    said = evaluate("bright-bone", tmp_path / "cases", tmp_path / "out", "", "cpu")
    assert said["warnings"] == [
        "Nothing was ever found by the name 'bonn' of the references; what was found is called bone."
    ]
    assert "by the name 'bonn'" in said["markdown"]


def test_labels_beyond_a_byte_are_told_apart(plugin, tmp_path):
    case = tmp_path / "cases" / "a"
    make_array_case(case)
    with np.load(case / "reference" / "bone.npz") as data:
        labels, affine = data["labels"].astype(np.int32) * 1025, data["affine"]
    labels[0] = 1  # 1025 is 1 in a byte
    np.savez(case / "reference" / "atlas.npz", labels=labels, affine=affine)
    (case / "reference" / "atlas.json").write_text('{"1025": "Bone"}')
    said = evaluate("bright-bone", tmp_path / "cases", tmp_path / "out", "", "cpu")
    assert said["cases"][0]["dice"]["Bone"] == pytest.approx(2 / 3)


def test_images_may_lie_elsewhere(plugin, tmp_path):
    write_series(make_series(voxels=(make_hu() + 1024).astype(np.int16)), tmp_path / "elsewhere")
    folder = tmp_path / "cases" / "a"
    (folder / "reference").mkdir(parents=True)
    (folder / "case.json").write_text('{"images": "../../elsewhere"}')
    (folder / "reference" / "answers.json").write_text("{}")
    said = evaluate("bright-bone", tmp_path / "cases", tmp_path / "out", "", "cpu")
    assert (said["cases"][0]["refused"], said["worst"]) == ("", "")
