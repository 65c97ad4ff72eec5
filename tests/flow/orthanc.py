"""A Debian Orthanc as the PACS of a test: its own folder, free ports, the configuration and the routing of `deploy`."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy" / "orthanc"
TITLE = "ORTHANC"


class Orthanc:
    """Started, killed and started again on one folder. `node_port`: where the node listens on loopback."""

    def __init__(self, folder, dicom_port, http_port, node_port):
        self._folder = folder
        self._http = f"http://127.0.0.1:{http_port}"
        self.dicom_port = dicom_port
        self._environment = dict(os.environ) | {
            "ORTHANC_STORAGE": str(folder / "db"),
            "ORTHANC_LUA": str(DEPLOY / "route.lua"),
            "ORTHANC_DICOM_PORT": str(dicom_port),
            "ORTHANC_HTTP_PORT": str(http_port),
            "ORTHANC_STABLE_AGE": "1",
            "WETREAD_PORT": str(node_port),
        }
        self._process = None

    def start(self):
        """Returns when the REST interface answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        binary = shutil.which("Orthanc") or pytest.skip("Orthanc is not installed (Debian package orthanc)")
        with self.log.open("ab") as sink:
            command = [binary, str(DEPLOY / "orthanc.json")]
            self._process = subprocess.Popen(command, stdout=sink, stderr=sink, env=self._environment)
        patience = time.monotonic() + 20
        while time.monotonic() < patience and self._process.poll() is None:
            try:
                self.get("/system")
            except URLError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"Orthanc does not start:\n{self.log.read_text('utf-8', 'replace')[-2000:]}")

    @property
    def log(self):
        """What Orthanc said."""
        return self._folder / "orthanc.log"

    def stop(self):
        """An orderly end."""
        self._end(self._process.terminate)

    def kill(self):
        """kill -9."""
        self._end(self._process.kill)

    def _end(self, how):
        how()
        self._process.wait(20)

    def take(self, folder, syntax=()):
        """Sends the files of `folder` to Orthanc as a modality would, by dcmtk's storescu; `syntax`: its options."""
        storescu = shutil.which("storescu") or pytest.skip("storescu is not installed (Debian package dcmtk)")
        command = [storescu, *syntax, "-aet", "MODALITY", "-aec", TITLE, "+sd", "127.0.0.1", str(self.dicom_port)]
        environment = dict(os.environ) | {"TCP_NODELAY": "1"}
        command.append(str(folder))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def get(self, path):
        """The JSON at `path` of the REST interface."""
        with urlopen(f"{self._http}{path}", timeout=5) as answer:
            return json.load(answer)

    def post(self, path, body):
        """The JSON that the REST interface answers to `body`."""
        with urlopen(Request(f"{self._http}{path}", body.encode()), timeout=5) as answer:
            return json.load(answer)

    def find_series(self, study_uid):
        """The series of a study as Orthanc describes them; empty when it does not have the study."""
        found = self.post("/tools/lookup", study_uid)
        return self.get(f"/studies/{found[0]['ID']}/series") if found else []

    def count(self, study_uid):
        """Instances of a study by Modality."""
        counts = Counter()
        for series in self.find_series(study_uid):
            counts[series["MainDicomTags"]["Modality"]] += len(series["Instances"])
        return dict(counts)

    def is_at_rest(self, study_uid):
        """True when every series of the study is stable and no transfer is under way."""
        series = self.find_series(study_uid)
        jobs = self.get("/jobs?expand")
        return all(one["IsStable"] for one in series) and not any(
            job["State"] in {"Pending", "Running"} for job in jobs
        )

    def find_transfers(self):
        """The transfers that the routing started, as Orthanc describes its jobs, oldest first."""
        jobs = [job for job in self.get("/jobs?expand") if job["Type"] == "DicomModalityStore"]
        return sorted(jobs, key=lambda job: job["CreationTime"])
