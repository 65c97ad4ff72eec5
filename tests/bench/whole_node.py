"""A node as `wetread up` runs it, with what it delivers to, each on loopback and in a folder of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from processes import cpu_seconds
from receivers import HERE, ROOT, CannotMeasure

from node.config import load_settings
from node.demo.pacs import StandInPacs
from node.errors import PeerUnreachable
from node.ledger import SqlLedger
from node.outbound.echo import echo

TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "{home}"
[web]
listen = "127.0.0.1:{web}"
[completeness]
quiet = "PT{quiet}S"
[work]
device = "cpu"
"""
PEER = """
[peers.{name}-scanner]
ae_title = "{scanner}"
address = "127.0.0.1:{port}"
send = true
[peers.{name}]
ae_title = "{title}"
address = "127.0.0.1:{port}"
confirm = "{confirm}"
segmentation = "{segmentation}"
[[routes]]
name = "to {name}"
from = ["{name}-scanner"]
when = {{ Modality = "CT" }}
pipeline = "instant"
deliver = ["{name}"]
"""


@dataclass(frozen=True)
class Destination:
    """name: of the figures. promise: when an object counts as confirmed there. confirm: what the node asks for. needs:
    the program. segmentation: as the peer is configured. slow: the receiver alone takes longer than the whole may."""

    name: str
    promise: str
    confirm: str
    needs: str = ""
    segmentation: str = "binary"
    slow: bool = False

    @property
    def scanner(self):
        """AE title whose images are answered to this destination."""
        return f"SCAN-{self.name.upper()[:10]}"


DESTINATIONS = (
    Destination("storescp", "dcmtk storescp answered success", "none", "storescp"),
    Destination("dcmqrscp", "dcmtk dcmqrscp lists it", "query", "dcmqrscp"),
    Destination("labelmap", "Orthanc committed to it, as a label map", "commitment", "Orthanc", "labelmap"),
    # 200 MB of a binary segmentation take Orthanc 2.3 s when it does nothing else, and pynetdicom 2 s.
    Destination("orthanc", "Orthanc committed to it", "commitment", "Orthanc", slow=True),
    Destination("commitment", "a PACS on pynetdicom committed to it", "commitment", slow=True),
)

ARCHIVE = """\
NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{title} {place} RW (100, 4096mb) ANY
AETable END
"""
"""The configuration of dcmtk's archive."""


class WholeNode:
    """The node and `destinations`, from entering to leaving. Ends what it started and nothing else."""

    def __init__(self, folder, destinations, quiet):
        self.folder = folder
        self.door, web, *ports = find_ports(2 + len(destinations))
        self._ports = dict(zip(destinations, ports, strict=True))
        self._processes = []
        text = TOML.format(door=self.door, web=web, home=folder / "home", quiet=quiet)
        for one, port in self._ports.items():
            text += PEER.format(
                name=one.name, scanner=one.scanner, title=one.name.upper(), port=port, confirm=one.confirm,
                segmentation=one.segmentation,
            )  # fmt: skip
        self._config = folder / "wetread.toml"
        self._config.write_text(text, "utf-8")
        self._plugins = _install_plugin(folder / "plugin")

    def __enter__(self):
        try:
            self._pacs = [self._start_destination(one, port) for one, port in self._ports.items()]
            self._start([sys.executable, "-m", "node.cli", "up"], "node")
            sys.path[:0] = self._plugins
            self.ledger = SqlLedger(load_settings(self._config, {}).ledger_url)
            wait_until(self._is_open, 120, f"the node does not open its door: {self.say_log()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pacs in getattr(self, "_pacs", []):
            if pacs is not None:
                pacs.stop()
        if hasattr(self, "ledger"):
            self.ledger.close()

    def cpu_seconds(self):
        """User and system time of the node's processes so far."""
        return cpu_seconds(self._processes[-1].pid)

    def say_log(self):
        """The end of what the node said."""
        return "\n".join((self.folder / "node.log").read_text("utf-8").splitlines()[-15:])

    def _start_destination(self, destination, port):
        place = self.folder / destination.name
        place.mkdir()
        if not destination.needs:
            pacs = StandInPacs(place, destination.name.upper(), ("127.0.0.1", self.door, "WETREAD"))
            pacs.start(port)
            return pacs
        make = {"storescp": self._storescp, "dcmqrscp": self._dcmqrscp, "Orthanc": self._orthanc}[destination.needs]
        self._start(make(destination.name, place, port), destination.name)
        return None

    def _storescp(self, _, place, port):
        return ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(place), str(port)]

    def _dcmqrscp(self, name, place, port):
        config = self.folder / "dcmqrscp.cfg"
        config.write_text(ARCHIVE.format(port=port, title=name.upper(), place=place), "utf-8")
        return ["dcmqrscp", "+B", "-c", str(config)]

    def _orthanc(self, name, place, port):
        """As shipped but for long PDUs and label maps: files synced, the index in a database of its own."""
        settings = {
            "Name": "bench",
            "StorageDirectory": str(place),
            "IndexDirectory": str(place),
            "Plugins": [],
            "HttpServerEnabled": False,
            "DicomAet": name.upper(),
            "DicomPort": port,
            "MaximumPduLength": 131072,
            "UnknownSopClassAccepted": True,  # label maps are younger than it
            "DicomModalities": {"wetread": ["WETREAD", "127.0.0.1", self.door]},
        }
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps(settings), "utf-8")
        return ["Orthanc", str(config)]

    def _start(self, command, name):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD_")}
        environment |= {
            "PYTHONPATH": os.pathsep.join(self._plugins),
            "WETREAD_CONFIG": str(self._config),
            "TCP_NODELAY": "1",
            # An environment that is active has pynetdicom's storescp in front of dcmtk's.
            "PATH": os.pathsep.join(p for p in os.get_exec_path() if p != str(Path(sys.executable).parent)),
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))

    def _is_open(self):
        if any(process.poll() is not None for process in self._processes):
            raise CannotMeasure(f"the node did not start: {self.say_log()}")
        try:
            echo("BENCH", ("127.0.0.1", self.door), "WETREAD")
        except PeerUnreachable:
            return False
        return True


def find_missing():
    """Programs that a destination needs and that are not here: {destination name: program}."""
    return {one.name: one.needs for one in DESTINATIONS if one.needs and shutil.which(one.needs) is None}


def find_ports(count):
    """Ports on loopback that nobody listens on now, no two alike."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_until(truth, seconds, complaint):
    """The first true answer of `truth`; raises CannotMeasure after `seconds`."""
    patience = time.monotonic() + seconds
    while time.monotonic() < patience:
        if answer := truth():
            return answer
        time.sleep(0.05)
    raise CannotMeasure(complaint)


def _install_plugin(folder):
    """What sys.path needs so that the entry point group finds the instant pipeline."""
    info = folder / "instant-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: instant\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[wetread.pipelines]\ninstant = instant_pipeline\n", "utf-8")
    return [str(folder), str(HERE)]
