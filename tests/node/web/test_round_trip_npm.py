"""npm's dicomweb-client and dcmjs, of which viewers are made, round-trip every operation with this service."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from node.model.role import Role
from node.web.access import hashes
from node.web.access.users import UserFile
from tests.judges.programs import find
from tests.node.web.service import Service
from tests.series import make_series, write_series

VIEWER = Path(__file__).resolve().parents[2] / "viewer"
PNG, GIF_OR_JPEG = "89504e47", ("ffd8ff", "47494638")
pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(what the clients say that they got, the files that they stored)."""
    if not (VIEWER / "node_modules" / "dicomweb-client").is_dir():
        pytest.skip("dicomweb-client is not installed (npm ci --prefix tests/viewer)")
    home = tmp_path_factory.mktemp("npm")
    patch = pytest.MonkeyPatch()
    patch.setattr(hashes, "COST", 1 << 10)
    users = UserFile(home / "users.toml")
    users.add("pacs", Role.OPERATOR, "")
    token = users.add_token("pacs")
    paths = write_series(make_series((4, 30, 26), PatientName="Wet^Read"), home / "files")
    with Service(home, peers={"pacs": {"ae_title": "PACS", "web_user": "pacs", "send": True}}) as service:
        asked = {
            "url": f"{service.url}/dicom-web",
            "headers": {"Authorization": f"Bearer {token}"},
            "files": [str(path) for path in paths],
        }
        command = [find("node"), str(VIEWER / "round_trip.mjs")]
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=120
        )
    patch.undo()
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout), [dcmread(path) for path in paths]


def describe(image):
    """As round_trip.mjs has it of an instance."""
    return {
        "sop": image.SOPInstanceUID,
        "name": "Wet^Read",
        "rows": image.Rows,
        "syntax": image.file_meta.TransferSyntaxUID,
        "pixels": hashlib.sha256(image.PixelData).hexdigest(),
    }


def by_uid(ones):
    return sorted(ones, key=lambda one: one["sop"])


def test_it_stores_and_is_told_so(said):
    assert said[0]["stored"] == [1, 3]


def test_it_finds_studies_series_and_instances(said):
    got, files = said[0]["search"], said[1]
    study, series = files[0].StudyInstanceUID, files[0].SeriesInstanceUID
    uids = sorted(file.SOPInstanceUID for file in files)
    assert got["studies"] == got["names"] == [study]
    assert got["series"] == got["allSeries"] == [series]
    assert sorted(got["ofStudy"]) == sorted(got["allInstances"]) == uids
    assert got["ofSeries"] == [file.SOPInstanceUID for file in sorted(files, key=lambda one: one.InstanceNumber)][1:3]
    assert got["nothing"] == []


def test_it_reads_metadata(said):
    got, files = said[0]["metadata"], said[1]
    assert sorted(got["study"]) == sorted(got["series"]) == sorted(file.SOPInstanceUID for file in files)
    assert got["natural"] == "Wet^Read"


def test_it_gets_the_instances_that_it_stored(said):
    got, files = said
    assert got["instance"] == describe(files[0])
    assert by_uid(got["series"]) == by_uid(got["study"]) == by_uid(describe(file) for file in files)


def test_it_gets_frames_and_bulk_data(said):
    got, files = said
    pixels = [hashlib.sha256(files[0].PixelData).hexdigest()]
    assert got["bulk"] == pixels
    assert got["frames"] == {"plain": pixels, "stored": pixels, "either": pixels}


def test_it_gets_pictures(said):
    got = said[0]["pictures"]
    assert got["png"][0]["start"] == PNG
    for name in ("instance", "frame", "thumbnail", "frameThumbnail"):
        (one,) = got[name]
        assert one["start"].startswith(GIF_OR_JPEG), name
        assert one["size"] > 100


def test_it_is_refused_as_the_standard_says(said):
    assert said[0]["refused"] == {"missing": 404, "frame": 404, "changed": 409, "key": 400}
