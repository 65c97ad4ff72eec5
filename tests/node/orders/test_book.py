"""The order book keeps what the department asked for, and finds it by study."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from node.model.job import Priority
from node.model.order import Order
from node.orders.book import OrderBook
from pipelines.terms import Code

ORDER = Order(
    accession_number="A-1",
    issuer="RIS",
    placer_order_number="P1",
    filler_order_number="F1",
    requested_procedure_id="RP1",
    requested_procedure_description="CT of the chest",
    procedure_code=Code("24627-2", "LN", "CT Chest"),
    reason="Cough",
    referring_physician="Doe^Jane",
    priority=Priority.STAT,
    study_uid="1.2.3",
    source="hl7",
    at=1000.0,
    patient_id="PAT",
)


@pytest.fixture
def book(tmp_path: Path) -> OrderBook:
    return OrderBook(tmp_path / "home" / "orders.sqlite")


def test_an_order_is_found_by_study_and_by_accession_number_whole(book: OrderBook) -> None:
    book.keep(ORDER)
    assert book.find(study_uid="1.2.3") == ORDER
    assert book.find(accession_number="A-1") == ORDER
    assert book.find(accession_number="A-1", study_uid="1.2.99") == ORDER
    assert book.find() is None and book.find("A-2", "1.2.4") is None


def test_an_order_without_code_and_priority_comes_back_so(book: OrderBook) -> None:
    plain = replace(ORDER, procedure_code=None, priority=None)
    book.keep(plain)
    assert book.find("A-1") == plain


def test_another_process_reads_what_was_kept(book: OrderBook, tmp_path: Path) -> None:
    book.keep(ORDER)
    assert OrderBook(tmp_path / "home" / "orders.sqlite").find("A-1") == ORDER


def test_what_is_said_again_replaces_what_was_said_and_older_word_does_not(book: OrderBook) -> None:
    book.keep(ORDER)
    book.keep(replace(ORDER, reason="Fever", at=1001.0))
    for at in (999.0, 1000.5):
        book.keep(replace(ORDER, reason="late in the post", at=at))
    found = book.find("A-1")
    assert found is not None and found.reason == "Fever"


def test_the_order_that_names_the_study_goes_before_one_of_its_accession_number(book: OrderBook) -> None:
    book.keep(ORDER)
    book.keep(replace(ORDER, study_uid="1.2.4", requested_procedure_id="RP2", at=2000.0))
    book.keep(replace(ORDER, study_uid="", requested_procedure_id="RP3", at=1500.0))
    assert [_find(book, study) for study in ("1.2.3", "1.2.4", "1.2.5")] == ["RP1", "RP2", "RP3"]


def test_an_order_without_study_is_not_found_by_no_study(book: OrderBook) -> None:
    book.keep(replace(ORDER, study_uid=""))
    assert book.find("A-9") is None


def test_orders_go_with_their_time(book: OrderBook) -> None:
    book.keep(ORDER)
    book.keep(replace(ORDER, accession_number="A-2", study_uid="1.2.4", at=2000.0))
    assert book.forget(before=1500.0) == 1
    assert book.find("A-1") is None and book.find("A-2") is not None


def test_nobody_but_its_owner_reads_the_book(book: OrderBook, tmp_path: Path) -> None:
    book.keep(ORDER)
    for file in (tmp_path / "home").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_an_order_that_no_study_can_be_found_by_is_refused() -> None:
    with pytest.raises(ValueError, match="accession number or a study uid"):
        replace(ORDER, accession_number="", study_uid="")


def test_what_names_people_is_not_shown() -> None:
    shown = repr(ORDER)
    assert not [secret for secret in ("A-1", "Doe", "Cough", "PAT", "P1", "F1") if secret in shown]


def _find(book: OrderBook, study_uid: str) -> str:
    order = book.find("A-1", study_uid)
    return order.requested_procedure_id if order else ""


def test_what_a_job_answers_stays_as_it_was_when_the_job_was_made(book: OrderBook) -> None:
    book.keep(ORDER)
    book.assign("job", ORDER, at=1000.0)
    book.keep(replace(ORDER, reason="Fever", at=1001.0))
    assert book.find_assigned("job") == ORDER
    assert book.find_assigned("other") is None
    book.assign("job", None, at=1002.0)
    assert book.find_assigned("job") is None


def test_what_a_job_answers_goes_with_its_time_too(book: OrderBook) -> None:
    book.assign("old", ORDER, at=1000.0)
    book.assign("new", ORDER, at=2000.0)
    book.forget(before=1500.0)
    assert book.find_assigned("old") is None and book.find_assigned("new") == ORDER
