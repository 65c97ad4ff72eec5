"""A display that shows nothing but pictures shows that the algorithm did not run."""

import numpy as np
import pytest

from node.dicom.lettering import Lettering
from node.dicom.output_gate import check_objects
from node.dicom.refusal_capture import HEADLINE, encode_refusal_capture
from node.dicom.report import encode_refusal
from node.dicom.write import write_dicom
from tests.judges import dciodvfy_errors
from tests.node.dicom.test_capture import find_words
from tests.results import make_author
from tests.series import make_series

WHY = ("MissingSlices", "a plane is missing between 103.5 mm and 107.5 mm")


def encode(headers, why=WHY, author=None):
    return encode_refusal_capture(headers, author or make_author(), *why, lettering=Lettering(()))


def test_it_says_in_letters_that_nobody_overlooks_that_nothing_was_looked_for():
    page = encode(make_series()).pixel_array
    assert find_words(page, HEADLINE, 60, (255, 210, 80))
    assert find_words(page, "Lung nodules", 30, (235, 235, 235))
    other = encode(make_series(), ("TooFewSlices", "it has 3 planes of at least 5")).pixel_array
    assert page.shape != other.shape or (page != other).any()


def test_no_word_on_it_is_the_patients():
    other = make_series(PatientName="Else^Anna", PatientID="Q-9", PatientBirthDate="19990909", StudyDate="20200202")
    np.testing.assert_array_equal(encode(make_series()).pixel_array, encode(other).pixel_array)


def test_the_gate_lets_it_out_beside_the_report_and_its_series_says_what_it_is():
    headers = make_series(BodyPartExamined="CHEST", Laterality="R")
    ds = encode(headers)
    check_objects([encode_refusal(headers, make_author(), *WHY), ds], headers)
    assert ds.SeriesDescription == "AI DID NOT RUN: Lung nodules"
    assert (ds.Modality, ds.BurnedInAnnotation, ds.SeriesNumber) == ("OT", "YES", 7010)
    assert [item.ReferencedSOPInstanceUID for item in ds.SourceImageSequence] == [h.SOPInstanceUID for h in headers]
    assert "AI result" not in ds.ImageComments + ds.DerivationDescription
    assert encode(headers) == ds


@pytest.mark.judge
def test_dciodvfy_finds_no_error(tmp_path):
    write_dicom(encode(make_series()), tmp_path / "sheet.dcm")
    assert dciodvfy_errors(tmp_path / "sheet.dcm") == []
