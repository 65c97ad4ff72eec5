"""Worklists that no one here wrote: dcmtk's wlmscpfs and Orthanc's plugin, on worklist files written by the test."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.errors import PeerUnreachable
from node.outbound.echo import echo
from tests.ports import free_port
from tests.waiting import wait_until

TITLE = "RIS"
PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")


def make_entry(**changes):
    """What a RIS schedules; changes: keyword = value overrides."""
    step = make_item(
        ScheduledStationAETitle="CT1",
        ScheduledProcedureStepStartDate="20240102",
        ScheduledProcedureStepStartTime="030000",
        Modality="CT",
        ScheduledPerformingPhysicianName="",
        ScheduledProcedureStepDescription="CT of the chest",
        ScheduledProcedureStepID="SPS1",
        ScheduledStationName="",
        ScheduledProcedureStepLocation="",
    )
    entry = make_item(
        SpecificCharacterSet="ISO_IR 100",
        AccessionNumber="A-1",
        PatientName="Test^Pat",
        PatientID="P-1",
        PatientBirthDate="19700101",
        PatientSex="O",
        ReferringPhysicianName="Müller^Eva",
        RequestedProcedureID="RP1",
        RequestedProcedureDescription="CT Thorax für Müller",
        RequestedProcedurePriority="STAT",
        ReasonForTheRequestedProcedure="Cough",
        RequestedProcedureCodeSequence=[
            make_item(CodeValue="24627-2", CodingSchemeDesignator="LN", CodeMeaning="CT Chest")
        ],
        PlacerOrderNumberImagingServiceRequest="PL1",
        FillerOrderNumberImagingServiceRequest="FI1",
        StudyInstanceUID="1.2.3.1",
        ReferencedStudySequence=[],
        ScheduledProcedureStepSequence=[step],
    )
    for keyword, value in changes.items():
        setattr(entry, keyword, value)
    return entry


def make_item(**attributes):
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def write_entries(folder, *entries):
    folder.mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(entries):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.276.0.7230010.3.1.0.1", f"2.25.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = FileDataset(None, entry, file_meta=meta, preamble=b"\0" * 128)
        file.save_as(folder / f"{number}.wl", enforce_file_format=True)


@contextmanager
def wlmscpfs(folder, *entries):
    """dcmtk's; yields its port."""
    binary = shutil.which("wlmscpfs") or pytest.skip("wlmscpfs is not installed (Debian package dcmtk)")
    write_entries(folder / TITLE, *entries)
    (folder / TITLE / "lockfile").touch()
    port = free_port()
    with _running([binary, "-csk", "-dfp", str(folder), str(port)], folder / "log"):
        _wait_for(port, folder / "log")
        yield port


@contextmanager
def orthanc(folder, *entries):
    """Orthanc's plugin; yields its port."""
    binary = shutil.which("Orthanc") or pytest.skip("Orthanc is not installed (Debian package orthanc)")
    write_entries(folder / "worklists", *entries)
    port = free_port()
    settings = {
        "Plugins": [str(PLUGIN)],
        "Worklists": {"Enable": True, "Database": str(folder / "worklists")},
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "DicomAet": TITLE,
        "DicomPort": port,
        "HttpPort": free_port(),
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFindWorklist": True,
        "DefaultEncoding": "Latin1",
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _running([binary, str(folder / "orthanc.json")], folder / "log"):
        _wait_for(port, folder / "log")
        yield port


SERVERS = [wlmscpfs, orthanc]


@contextmanager
def _running(command, log):
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(port, log):
    def is_up():
        try:
            echo("WETREAD", ("127.0.0.1", port), TITLE)
        except PeerUnreachable:
            return False
        return True

    assert wait_until(is_up), log.read_text("utf-8", "replace")[-2000:]
