"""`wetread demo`, as a newcomer runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.series import make_series, write_series


def demo(folder, *words):
    command = [sys.executable, "-m", "node.cli", "demo", "--json", "--out", str(folder / "out"), *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    return answer.returncode, json.loads(answer.stdout)


def test_without_a_study_a_head_and_a_chest_make_the_whole_way(tmp_path):
    code, told = demo(tmp_path)
    assert code == 0, told
    assert sorted(job["pipeline"] for job in told["jobs"]) == ["brain-extract", "lung-seg"]
    for job in told["jobs"]:
        assert job["state"] == "CONFIRMED"
        assert [item["modality"] for item in job["objects"]] == ["SEG", "SR"]
        assert {"receive", "complete", "queue", "load", "run", "encode", "deliver", "confirm"} <= set(job["seconds"])
        assert job["findings"]
        for item in job["objects"]:
            assert dcmread(item["path"]).SOPInstanceUID == item["sop_instance_uid"]
    for picture in told["montages"]:
        assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 20


def test_the_lungs_of_the_phantom_are_measured_close_to_the_truth(tmp_path):
    from node.demo.studies import write_demo_studies

    truth = write_demo_studies(tmp_path / "in")
    code, told = demo(tmp_path, "--study", str(tmp_path / "in" / "chest"))
    assert code == 0
    (job,) = told["jobs"]
    found = {
        (finding["laterality"] or {}).get("meaning", "").lower(): finding["measurements"][0]["value"]
        for finding in job["findings"]
    }
    for side in ("right", "left"):
        assert found[side] == pytest.approx(truth[told["study_uid"]][side], rel=0.06)


def test_a_folder_without_dicom_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("this is no DICOM")
    code, told = demo(tmp_path, "--study", str(tmp_path / "in"))
    assert (code, told["jobs"], told["study_uid"]) == (1, [], None)
    assert "1 files are no DICOM files" in told["reason"]


def test_a_localizer_fails_by_name_and_the_pacs_is_told_that_nothing_ran(tmp_path):
    study = generate_uid(prefix=None)
    image = make_series(
        (1, 32, 32),
        StudyInstanceUID=study,
        SeriesInstanceUID=study + ".1",
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    write_series(image, tmp_path / "in")
    code, told = demo(tmp_path, "--study", str(tmp_path / "in"))
    (job,) = told["jobs"]
    assert (code, told["study_uid"], job["state"]) == (1, study, "FAILED")
    assert job["reason"].startswith("NotAcquired")
    assert job["outcome"].startswith("No algorithms succeeded")
    assert Path(job["objects"][0]["path"]).is_file()
