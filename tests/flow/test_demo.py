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

from node.demo.phantom import make_chest
from tests.flow.test_orthanc import write_ct
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
    (lungs,) = [job for job in told["jobs"] if job["pipeline"] == "lung-seg"]
    assert_close_to_the_truth(lungs["findings"])


def assert_close_to_the_truth(findings):
    """The lungs of the phantom are as large as they were made."""
    found = {
        (finding["laterality"] or {}).get("meaning", "").lower(): finding["measurements"][0]["value"]
        for finding in findings
    }
    made = make_chest()
    assert found["right"] == pytest.approx(made.right_ml, rel=0.06)
    assert found["left"] == pytest.approx(made.left_ml, rel=0.06)


def test_a_folder_without_dicom_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("this is no DICOM")
    code, told = demo(tmp_path, "--study", str(tmp_path / "in"))
    assert (code, told["jobs"], told["study_uid"]) == (1, [], None)
    assert "1 files are no DICOM files" in told["reason"]


def test_of_given_studies_a_good_one_is_confirmed_and_a_localizer_fails_by_name_and_the_pacs_is_told(tmp_path):
    good, study = write_ct(tmp_path / "in" / "good"), generate_uid(prefix=None)
    image = make_series(
        (1, 32, 32),
        StudyInstanceUID=study,
        SeriesInstanceUID=study + ".1",
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    write_series(image, tmp_path / "in" / "localizer")
    code, told = demo(tmp_path, "--study", str(tmp_path / "in"))
    assert (code, told["study_uid"], told["study_uids"]) == (1, good, [good, study])
    confirmed, job = told["jobs"]
    assert (confirmed["state"], [item["modality"] for item in confirmed["objects"]]) == ("CONFIRMED", ["SR"])
    assert job["state"] == "FAILED"
    assert job["reason"].startswith("NotAcquired")
    assert job["outcome"].startswith("No algorithms succeeded")
    assert Path(job["objects"][0]["path"]).is_file()
