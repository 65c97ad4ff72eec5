"""The mind: volumes in, findings out. No DICOM, no network, no queue."""
