"""A whole node as `wetread up` runs it, with a stand-in PACS, for tests that send, look and kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from node.config import load_settings
from node.demo.pacs import StandInPacs
from node.errors import PeerUnreachable
from node.ledger import SqlLedger
from node.model.job import FINAL
from node.model.study import StudyState
from node.outbound.echo import echo
from node.outbound.send import send_files
from tests.ports import free_port

PLUGIN = Path(__file__).parent / "plugin"
TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "{home}"
[listen]
min_free_mb = 16
[web]
listen = "127.0.0.1:{web}"
[completeness]
quiet = "PT1S"
broken = "PT40S"
[work]
lease = "PT4S"
device = "cpu"
[deliver]
retry_first = "PT0.5S"
retry_longest = "PT2S"
commit_wait = "PT3S"
[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:{pacs}"
confirm = "commitment"
[[routes]]
name = "bright CT"
when = {{ Modality = "CT" }}
pipeline = "threshold"
deliver = ["pacs"]
"""


class House:
    """One node and one PACS in `folder`, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door, self.web, self.pacs_port = free_port(), free_port(), free_port()
        self.config = folder / "wetread.toml"
        text = TOML.format(door=self.door, web=self.web, pacs=self.pacs_port, home=folder / "home")
        self.config.write_text(text)
        info = folder / "plugin" / "threshold-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: threshold\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[wetread.pipelines]\nthreshold = threshold_pipeline\n")
        (folder / "plugin" / "threshold_pipeline").symlink_to(PLUGIN / "threshold_pipeline")
        self.wait_file = folder / "seconds"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("WETREAD_")}
        self.environment |= {
            "PYTHONPATH": str(folder / "plugin"),
            "THRESHOLD_SECONDS": str(self.wait_file),
            "WETREAD_CONFIG": str(self.config),
        }
        sys.path.insert(0, str(folder / "plugin"))
        self.settings = load_settings(self.config, {})
        self.pacs = StandInPacs(folder / "pacs", report_to=("127.0.0.1", self.door, "WETREAD"))
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.process = None

    def start(self) -> None:
        if self.pacs._server is None:
            self.pacs.start(self.pacs_port)
        log = (self.folder / "node.log").open("ab")
        command = [sys.executable, "-m", "node.cli", "up"]
        self.process = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)
        self.wait_for_door()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self.pacs.stop()
        self.ledger.close()
        sys.path.remove(str(self.folder / "plugin"))

    def wait_for_door(self) -> None:
        def open_door():
            try:
                echo("TEST", ("127.0.0.1", self.door), "WETREAD")
            except PeerUnreachable:
                return False
            return True

        self.wait_until(open_door, 60)

    def wait_until(self, truth, seconds: float):
        patience = time.monotonic() + seconds
        while time.monotonic() < patience:
            if answer := truth():
                return answer
            time.sleep(0.05)
        raise AssertionError("waited in vain; the node's log ends with\n" + self.log_tail())

    def log_tail(self) -> str:
        return "\n".join((self.folder / "node.log").read_text().splitlines()[-40:])

    def send(self, paths) -> int:
        sent = send_files(paths, "TEST", ("127.0.0.1", self.door), "WETREAD", lambda *_: None)
        assert not sent.refused
        return sent.taken

    def find_pids(self, words: str) -> list[int]:
        """Processes below the supervisor whose command line contains `words`."""
        return list(self.find_processes(words))

    def find_processes(self, words: str) -> dict[int, str]:
        """Their command lines too, by pid."""
        table = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in table.splitlines()[1:]]
        family = {self.process.pid}
        for _ in range(4):
            family |= {int(pid) for pid, parent, _ in rows if int(parent) in family}
        return {int(pid): args for pid, _, args in rows if int(pid) in family and words in args}

    def kill(self, words: str) -> None:
        pids = self.find_pids(words)
        assert pids, f"no process {words!r} to kill"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def finish(self, study_uid: str, seconds: float = 60):
        """The jobs of the study once it is complete and all are final."""

        def over():
            studies = [s for s in self.ledger.find_studies() if s.study_uid == study_uid]
            jobs = self.ledger.find_jobs(study_uid)
            done = studies and studies[0].state == StudyState.COMPLETE and all(job.state in FINAL for job in jobs)
            return [jobs] if done else None

        return self.wait_until(over, seconds)[0]

    def received(self, study_uid: str) -> list[Path]:
        """What the PACS holds of the study, SEG before SR."""
        objects = [item for job in self.ledger.find_jobs(study_uid) for item in self.ledger.find_objects(job.id)]
        return [self.pacs.held[o.sop_instance_uid] for o in objects if o.sop_instance_uid in self.pacs.held]
