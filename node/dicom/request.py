"""An order as attributes: of an item of Request Attributes Sequence, and of a header that routes are matched with."""

from pydicom import Dataset

from node.dicom.codes import to_concept
from node.dicom.header import find_value
from node.model.job import Priority
from node.model.order import Order

SHORT, LONG = 16, 64
"""Longest values of SH and LO (PS3.5 table 6.2-1)."""

PRIORITIES = {Priority.STAT: "STAT", Priority.ROUTINE: "ROUTINE", Priority.OFF_PEAK: "LOW"}


def to_request(order: Order, study_uid: str) -> Dataset:
    """`order` as an item of Request Attributes Sequence (PS3.3 table 10-9), with its order numbers, which are of
    Referenced Request Sequence alone (table C.17-2). Text that is too long is cut; a number that is, is left out."""
    item = Dataset()
    item.StudyInstanceUID = study_uid
    numbers = {
        "AccessionNumber": (order.accession_number, SHORT),
        "RequestedProcedureID": (order.requested_procedure_id, SHORT),
        "PlacerOrderNumberImagingServiceRequest": (order.placer_order_number, LONG),
        "FillerOrderNumberImagingServiceRequest": (order.filler_order_number, LONG),
    }
    for keyword, (number, longest) in numbers.items():
        if 0 < len(number) <= longest and "\\" not in number:
            setattr(item, keyword, number)
    texts = {
        "RequestedProcedureDescription": order.requested_procedure_description,
        "ReasonForTheRequestedProcedure": order.reason,
    }
    for keyword, text in texts.items():
        if plain := _to_line(text):
            setattr(item, keyword, plain)
    if order.issuer and "AccessionNumber" in item:
        issuer = Dataset()
        issuer.LocalNamespaceEntityID = order.issuer
        item.IssuerOfAccessionNumberSequence = [issuer]
    if order.procedure_code is not None:
        item.RequestedProcedureCodeSequence = [to_concept(order.procedure_code)]
    return item


def add_request(header: Dataset, order: Order) -> None:
    """Lets `header` say also what `order` says: (0040,1003) and what is requested as the order has it, the referring
    physician only where the images name none."""
    request = to_request(order, order.study_uid)
    for keyword in ("AccessionNumber", "StudyInstanceUID", "IssuerOfAccessionNumberSequence"):
        if keyword in request:
            del request[keyword]
    header.update(request)
    if order.priority is not None:
        header.RequestedProcedurePriority = PRIORITIES[order.priority]
    if order.referring_physician and not find_value(header, "ReferringPhysicianName"):
        header.ReferringPhysicianName = order.referring_physician


def _to_line(text: str) -> str:
    """One line of LO: no backslash, no control character."""
    return " ".join("".join(c if c.isprintable() and c != "\\" else " " for c in text).split())[:LONG].strip()
