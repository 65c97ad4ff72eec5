"""Translation between DICOM and our nouns; pure: files and values in, values and datasets out."""
