"""Archives that somebody else wrote, for tests that ask them: Debian's Orthanc and dcmtk's dcmqrscp."""

import os
import shutil
import subprocess
import time

import pytest

from node.errors import PeerUnreachable
from node.outbound.echo import echo
from tests.flow.orthanc import TITLE, Orthanc
from tests.ports import free_port

QRSCP = """\
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
wetread = (WETREAD, 127.0.0.1, {node})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP {db} RW (100, 1024mb) ANY
AETable END
"""


class OrthancArchive:
    """An Orthanc that routes nothing by itself and knows the node at `node_port`."""

    title = TITLE

    def __init__(self, folder, node_port):
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.http = free_port(), free_port()
        self._orthanc = Orthanc(folder, self.port, self.http, node_port)
        silent = folder / "routes_nothing.lua"
        silent.write_text("-- nothing\n")
        self._orthanc._environment["ORTHANC_LUA"] = str(silent)
        self.start, self.stop, self.take = self._orthanc.start, self._orthanc.stop, self._orthanc.take


class QrscpArchive:
    """dcmtk's archive."""

    title = "QRSCP"
    http = 0

    def __init__(self, folder, node_port):
        self.port = free_port()
        (folder / "db").mkdir(parents=True, exist_ok=True)
        self._config = folder / "dcmqrscp.cfg"
        self._config.write_text(QRSCP.format(port=self.port, node=node_port, db=folder / "db"))
        self._log = folder / "dcmqrscp.log"

    def start(self):
        """Returns when it answers."""
        binary = shutil.which("dcmqrscp") or pytest.skip("dcmqrscp is not installed (Debian package dcmtk)")
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen([binary, "-c", str(self._config)], stdout=sink, stderr=sink)
        patience = time.monotonic() + 20
        while time.monotonic() < patience:
            try:
                return echo("WETREAD", ("127.0.0.1", self.port), self.title)
            except PeerUnreachable:
                time.sleep(0.1)
        raise AssertionError(f"dcmqrscp does not start:\n{self._log.read_text()[-2000:]}")

    def stop(self):
        """An orderly end."""
        self._process.terminate()
        self._process.wait(20)

    def take(self, folder, syntax=()):
        """Sends the files of `folder` to it as a modality would."""
        command = ["storescu", *syntax, "-aet", "MODALITY", "-aec", self.title, "+sd", "127.0.0.1", str(self.port)]
        environment = dict(os.environ) | {"TCP_NODELAY": "1"}
        subprocess.run([*command, str(folder)], env=environment, check=True, capture_output=True, timeout=60)
