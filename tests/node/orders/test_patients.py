"""Who is the same patient: the orders of one id follow the other."""

from dataclasses import replace

import pytest

from node.orders.book import OrderBook
from node.orders.patients import Demographics, PatientBook
from tests.node.orders.test_book import ORDER


@pytest.fixture
def books(tmp_path):
    book = OrderBook(tmp_path / "orders.sqlite")
    return book, PatientBook(book)


def test_the_orders_of_the_older_id_follow_and_others_stay(books):
    book, patients = books
    book.keep(replace(ORDER, patient_id="OLD"))
    book.keep(replace(ORDER, accession_number="A-2", study_uid="1.2.4", patient_id="OTHER"))
    patients.merge("OLD", "NEW", 5.0)
    assert book.find("A-1") == replace(ORDER, patient_id="NEW")
    assert book.find("A-2").patient_id == "OTHER"
    assert patients.find_ids("OLD") == patients.find_ids("NEW") == ("NEW", "OLD")
    assert patients.find_ids("OTHER") == ("OTHER",)


def test_merges_follow_each_other_and_may_be_turned_about(books):
    book, patients = books
    book.keep(replace(ORDER, patient_id="A"))
    for old, survivor in (("A", "B"), ("B", "C"), ("C", "C")):
        patients.merge(old, survivor, 5.0)
    assert patients.find_ids("A") == ("C", "A", "B")
    patients.merge("C", "A", 6.0)
    assert patients.find_ids("B") == ("A", "B", "C")
    assert book.find("A-1").patient_id == "A"


def test_the_last_word_on_a_patient_counts_under_every_id(books):
    _, patients = books
    patients.keep(Demographics("OLD", "Doe^Jane", "19600101", "F", 5.0))
    patients.keep(Demographics("OLD", "late in the post", "", "", 4.0))
    assert patients.find("OLD").name == "Doe^Jane"
    patients.merge("OLD", "NEW", 6.0)
    assert patients.find("NEW").name == "Doe^Jane"
    patients.keep(Demographics("NEW", "Roe^Jane", "19600101", "F", 7.0))
    assert patients.find("OLD").name == "Roe^Jane"
    assert patients.find("ELSE") is None
    assert "Roe" not in repr(patients.find("NEW"))


def test_patients_go_with_their_time(books):
    _, patients = books
    patients.keep(Demographics("P", "Doe", "", "", 5.0))
    patients.merge("OLD", "NEW", 5.0)
    patients.forget(6.0)
    assert patients.find("P") is None
    assert patients.find_ids("OLD") == ("OLD",)
