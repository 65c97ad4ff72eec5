"""A node without doors: settings, ledger and hands, and pipelines of the tests' own."""

import sys
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.config import load_settings
from node.ledger import SqlLedger
from node.model.batch import Batch
from node.model.study import Instance
from node.scaffold import write_scaffold
from workers.hands import Hands

PLUGINS = {
    "companion": Path(__file__).parent / "plugin",
    "spots": Path(__file__).parent / "plugin",
    "threshold": Path(__file__).parents[1] / "flow" / "plugin",
}

PEERS = """
[peers.pacs]
ae_title = "PACS"
address = "127.0.0.1:104"
objects = ["segmentation", "report", "registration"]
"""


class Node:
    """Settings, ledger and hands of a node without doors; images go straight to its spool."""

    def __init__(self, folder, config=None):
        self.settings = load_settings(
            config, {"WETREAD_NODE__HOME": str(folder / "home"), "WETREAD_WORK__DEVICE": "cpu"}
        )
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.hands = Hands(self.settings)

    def keep(self, slices):
        """Writes `slices` to the spool and to the ledger; returns their paths."""
        paths = []
        for ds in slices:
            path = self.settings.spool / "kept" / f"{ds.SOPInstanceUID}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
            uids = (str(ds[name].value) for name in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID"))
            row = Instance(
                *uids, str(ds.SeriesInstanceUID), str(ds.file_meta.TransferSyntaxUID), generate_uid(None)[-64:], 1,
                f"kept/{path.name}", True, time.time() - 10,
            )  # fmt: skip
            assert not self.ledger.record(Batch(instances=[(row, "")]))
            paths.append(path)
        return paths

    def run(self, *jobs):
        """Closes the study with `jobs` and answers one ring for each; returns the jobs."""
        study = self.ledger.find_study(jobs[0].study_uid)
        assert self.ledger.close_study(study, time.time(), "complete", "", jobs)
        for _ in jobs:
            self.hands.answer("gpu")
        return [self.ledger.get_job(job.id) for job in jobs]

    def read(self, job, modality):
        """The one result object of that modality."""
        (found,) = self.read_all(job, modality)
        return found

    def read_all(self, job, modality):
        """The result objects of that modality."""
        found = [item for item in self.ledger.find_objects(job.id) if item.modality == modality]
        return [dcmread(self.settings.outbox / item.path) for item in found]


@pytest.fixture
def node(tmp_path, monkeypatch):
    for name, home in PLUGINS.items():
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wetread.pipelines]\n{name} = {name}_pipeline\n")
        monkeypatch.syspath_prepend(str(home))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("THRESHOLD_SECONDS", str(tmp_path / "seconds"))
    config = tmp_path / "wetread.toml"
    config.write_text(PEERS)
    node = Node(tmp_path, config)
    yield node
    node.hands.leave()
    node.ledger.close()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A folder in which a pipeline is installed that calls bone what is brighter than 300 HU."""
    write_scaffold("bright-bone", tmp_path / "plugin")
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    yield tmp_path / "plugin"
    for name in [name for name in sys.modules if name.startswith("bright_bone")]:
        del sys.modules[name]
