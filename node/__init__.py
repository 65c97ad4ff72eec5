"""The hospital's side: DICOM, peers, people. Imports `pipelines.terms` only, never torch or monai."""
