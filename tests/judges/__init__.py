"""Validators and readers that no one here wrote, each skipped, saying so, where it is not installed."""

from tests.judges.dcmqi import read_nrrd, segments_of, tid1500
from tests.judges.dcmtk import dsrdump
from tests.judges.dicom3tools import dciodvfy_errors

__all__ = ["dciodvfy_errors", "dsrdump", "read_nrrd", "segments_of", "tid1500"]
