"""An order is refused by name unless it is of the images that it is found by."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from node.errors import OrderRefused
from node.orders.book import OrderBook
from node.orders.fit import find_order
from node.orders.patients import PatientBook
from tests.node.dicom.test_request import ORDER
from tests.series import make_series

ISSUER = Dataset()
ISSUER.LocalNamespaceEntityID = "RIS"


def find(tmp_path, order=ORDER, **changes):
    book = OrderBook(tmp_path / "orders.sqlite")
    book.keep(order)
    return find_order(book, make_series((3, 4, 4), **changes)[0])


def test_an_order_of_the_same_patient_is_found_by_accession_number_and_by_study(tmp_path):
    assert find(tmp_path, IssuerOfAccessionNumberSequence=[ISSUER]) == ORDER
    assert find(tmp_path, StudyInstanceUID="1.2.3.9") == ORDER
    assert find(tmp_path, AccessionNumber="") == ORDER
    assert find(tmp_path, replace(ORDER, patient_issuer="HOSPITAL")) is not None
    assert find(tmp_path, IssuerOfPatientID="HOSPITAL") is not None
    assert find(tmp_path, AccessionNumber="A-2", StudyInstanceUID="1.2.3.9") is None


def test_images_under_an_id_that_was_merged_into_that_of_the_order_have_it_all_the_same(tmp_path):
    book = OrderBook(tmp_path / "orders.sqlite")
    book.keep(ORDER)
    old, new = (make_series((3, 4, 4), PatientID=one)[0] for one in (ORDER.patient_id, "P-9"))
    PatientBook(book).merge(ORDER.patient_id, "P-9", 5.0)
    assert find_order(book, old) == find_order(book, new) == replace(ORDER, patient_id="P-9")
    with pytest.raises(OrderRefused, match="another Patient ID"):
        find_order(book, make_series((3, 4, 4), PatientID="P-8")[0])


@pytest.mark.parametrize(
    ("order", "images", "words"),
    [
        ({}, {"PatientID": "P-2"}, "another Patient ID"),
        ({}, {"PatientID": "p-1"}, "another Patient ID"),
        ({}, {"PatientID": None}, "the images do not say of which patient"),
        ({"patient_id": ""}, {}, "the order does not say of which patient"),
        (
            {"patient_issuer": "OTHER"},
            {"IssuerOfPatientID": "HOSPITAL"},
            "the Patient ID of the order is another issuer",
        ),
        ({}, {"AccessionNumber": "A-2"}, "another accession number"),
        (
            {"issuer": "OTHER"},
            {"IssuerOfAccessionNumberSequence": [ISSUER]},
            "accession number of the order is another issuer",
        ),
    ],
)
def test_another_order_is_refused_and_no_number_is_told(tmp_path, order, images, words):
    with pytest.raises(OrderRefused, match=words) as refusal:
        find(tmp_path, replace(ORDER, **order), **images)
    assert not [number for number in ("P-1", "P-2", "A-1", "A-2") if number in str(refusal.value)]
