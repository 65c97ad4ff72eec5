"""The DICOMweb servers that are compared, each with the same files, on loopback and in a folder of its own."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from receivers import HERE, ROOT, CannotMeasure

from node.dicom.identity import read_identity, read_syntax
from node.inbound.spool import Spool, digest_dataset, name_kept
from node.ledger import SqlLedger
from node.model.batch import Batch
from node.model.study import Instance

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
JSON = "application/dicom+json"
BATCH = 1000
PATIENCE = 120  # seconds until a server answers, or has taken what it was given


class Client:
    """One connection that stays open, as browsers keep theirs."""

    def __init__(self, root):
        self._parts = urlsplit(root)
        self._buffer = bytearray(1 << 20)
        self._connection = http.client.HTTPConnection(self._parts.hostname, self._parts.port, timeout=PATIENCE)

    def get(self, path, accept):
        """(status, bytes of the body), which is read and thrown away."""
        self._connection.request("GET", self._parts.path + path, headers={"Accept": accept})
        answer = self._connection.getresponse()
        size = 0
        while count := answer.readinto(self._buffer):
            size += count
        return answer.status, size

    def post(self, path, body, headers):
        """(status, body). body: pieces; headers say how long it is."""
        self._connection.request("POST", self._parts.path + path, body, {"Accept": JSON, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self):
        self._connection.close()


class Server:
    """`root`: base URL of its DICOMweb service, once it answers."""

    name = title = ""

    def __init__(self, folder):
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.port = find_port()
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    def __enter__(self):
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=ROOT, env=self._environment())
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if Client(self.root).get("/studies?limit=1", "application/dicom+json")[0] in (200, 204):
                    return self
            except OSError:
                pass
            if time.monotonic() > until or self._process.poll() is not None:
                self._stop()
                raise CannotMeasure(f"{self.title} does not answer: {(self.folder / 'log').read_text('utf-8')[-500:]}")
            time.sleep(0.1)

    def __exit__(self, *_):
        self._stop()

    def _stop(self):
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _environment(self):
        return dict(os.environ)


class Wetread(Server):
    """The web role alone; files come into the spool and the ledger as the door would bring them."""

    name, title = "wetread", "Wetread"

    def __init__(self, folder):
        super().__init__(folder)
        self.home = self.folder / "home"
        self.spool, self.ledger = Spool(self.home / "spool"), SqlLedger(f"sqlite:///{self.home / 'ledger.sqlite'}")
        text = f'[node]\nhome = "{self.home}"\n[web]\nlisten = "127.0.0.1:{self.port}"\n'
        (self.folder / "wetread.toml").write_text(text, "utf-8")

    @property
    def root(self):
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def _command(self):
        start = "from node.cli import main; main()"
        return [sys.executable, "-c", start, "web", "--config", str(self.folder / "wetread.toml")]

    def take(self, paths):
        """Moves the files in."""
        rows = []
        for path in paths:
            identity = read_identity(path)
            syntax, offset = read_syntax(path)
            digest = digest_dataset(path, offset, syntax)
            uids = (identity.sop_instance_uid, identity.sop_class_uid, identity.study_uid, identity.series_uid)
            size, name = path.stat().st_size, name_kept(digest)
            shutil.move(path, self.spool.root / name)
            rows.append((Instance(*uids, syntax, digest, size, name, identity.is_image, time.time()), ""))
        for at in range(0, len(rows), BATCH):
            self.ledger.record(Batch(instances=rows[at : at + BATCH]))


class Orthanc(Server):
    """Orthanc with its DICOMweb plugin, both as Debian has them, and as they are set by default; so it syncs files."""

    name, title = "orthanc", "Orthanc"

    @property
    def root(self):
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def _command(self):
        settings = {
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.port,
            "Plugins": [PLUGIN],
            "DicomServerEnabled": False,
            "AuthenticationEnabled": False,
            "SyncStorageArea": True,
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings), "utf-8")
        return ["Orthanc", str(self.folder / "orthanc.json")]

    def take(self, paths):
        """Uploads the files."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        for path in paths:
            connection.request("POST", "/instances", path.read_bytes())
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise CannotMeasure(f"Orthanc did not take a file: {answer.status}")
        connection.close()


class Limit(Server):
    """What gives the files of a series and can do nothing else: the limit of the kernel and of the client."""

    name, title = "limit", "the kernel alone"

    def __init__(self, folder):
        super().__init__(folder)
        self.files = self.folder / "files"
        self.files.mkdir()

    @property
    def root(self):
        return f"http://127.0.0.1:{self.port}"

    def _command(self):
        return [sys.executable, str(HERE / "web_limit.py"), str(self.port), str(self.files)]

    def take(self, paths):
        """Has them under a second name, so all read the same pages of memory."""
        for number, path in enumerate(paths):
            os.link(path, self.files / f"{number:06d}")


def find_servers():
    """Those that are installed, ours first."""
    has_orthanc = shutil.which("Orthanc") and Path(PLUGIN).exists()
    return [Wetread, Orthanc] if has_orthanc else [Wetread]


def find_port():
    """A port that is free on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
