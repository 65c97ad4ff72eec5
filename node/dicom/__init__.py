"""Translation between DICOM and our nouns; pure: files and values in, values and datasets out."""

from node.dicom.charset import correct_chinese

correct_chinese()
