"""A critical finding raises the reading priority of the order: OMI^O23 or ORM^O01 with ORC-1 XO (HL7 2.5 chapter 4)."""

from collections.abc import Sequence

import hl7

from node.messages.account import Found
from node.messages.envelope import Letter, make_common_order, make_header, make_patient, make_request
from node.messages.result import AI, STATEMENT, VERY_ABNORMAL, Row, list_finding, make_observations
from node.messages.segments import coded, escape, identifier, message, segment
from node.sections import OrderUpdate
from pipelines.terms import Code

CHANGE = "XO"
"""ORC-1: change the order (table 0119)."""

STAT = Code("S", "HL70485", "Stat")
REASON = Code("CRITICAL", "99WETREAD", "An algorithm found something critical")


def make_order_update(letter: Letter, update: OrderUpdate, critical: Sequence[Found]) -> bytes:
    """That the study of `letter` be read at once, because of `critical`. The priority is in TQ1-9 of an OMI, in ORC-7
    and OBR-27 of an ORM, and in OBR-5 of both."""
    rows = [Row("ST", AI, escape(STATEMENT))]
    for place, found in enumerate(critical, 1):
        rows += list_finding(found, str(place), VERY_ABNORMAL)
    by_omi = update == OrderUpdate.OMI
    timing = {} if by_omi else {7: "^^^^^" + STAT.value}
    request = {5: STAT.value} | ({} if by_omi else {27: "^^^^^" + STAT.value})
    observations = make_observations(letter, rows, letter.template.result_status)
    return message(
        [
            make_header(letter, "OMI^O23^OMI_O23" if by_omi else "ORM^O01^ORM_O01"),
            make_patient(letter),
            make_common_order(letter, CHANGE, timing | {16: coded(REASON)}),
            *([segment("TQ1", {1: "1", 9: coded(STAT)})] if by_omi else []),
            make_request(letter, request),
            *observations,
            *([_make_procedure(letter)] if by_omi else []),
        ]
    )


def _make_procedure(letter: Letter) -> hl7.Segment:
    """IPC (4.5.6): all of its four identifiers must be there, so that one which nobody told is the accession number."""
    number = letter.accession_number
    procedure = letter.procedure_id or number
    study = identifier(letter.account.study_uid)
    return segment("IPC", {1: identifier(number), 2: identifier(procedure), 3: study, 4: identifier(procedure)})
