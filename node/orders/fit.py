"""Whose order it is: one that is found by study or accession number must be of the patient of the images.

An accession number may be given twice, by two systems or after years, and a study may have been sent under the wrong
one: then the order is refused by name, and nothing of it reaches routes or results.
"""

from collections.abc import Sequence

from pydicom import Dataset

from node.dicom.header import find_value
from node.dicom.worklist import read_issuer
from node.errors import OrderRefused
from node.model.order import Order
from node.orders.book import OrderBook
from node.orders.patients import PatientBook


def find_order(book: OrderBook, header: Dataset) -> Order | None:
    """The order of the images that `header` speaks for; None when none is known. Raises OrderRefused."""
    order = book.find(_text(header, "AccessionNumber"), _text(header, "StudyInstanceUID"))
    if order is not None:
        check_order(order, header, PatientBook(book).find_ids(_text(header, "PatientID")))
    return order


def check_order(order: Order, header: Dataset, patient_ids: Sequence[str] = ()) -> None:
    """Raises OrderRefused, which tells no number, unless `order` is of the images that `header` speaks for.
    patient_ids: what else their patient is known as."""
    patient_id, number, issuer = _text(header, "PatientID"), _text(header, "AccessionNumber"), read_issuer(header)
    if not patient_id or not order.patient_id:
        raise OrderRefused(f"the {'images do' if not patient_id else 'order does'} not say of which patient")
    if order.patient_id not in {patient_id, *patient_ids}:
        raise OrderRefused("the order is of another Patient ID than the images")
    patient_issuer = _text(header, "IssuerOfPatientID")
    if patient_issuer and order.patient_issuer and patient_issuer != order.patient_issuer:
        raise OrderRefused("the Patient ID of the order is another issuer's than that of the images")
    if number and order.accession_number and number != order.accession_number:
        raise OrderRefused("the order names the study, but has another accession number than the images")
    if issuer and order.issuer and issuer != order.issuer:
        raise OrderRefused("the accession number of the order is another issuer's than that of the images")


def _text(header: Dataset, keyword: str) -> str:
    value = find_value(header, keyword)
    return "" if value is None else str(value).strip()
