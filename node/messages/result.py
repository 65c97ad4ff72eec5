"""A result as ORU^R01 (HL7 2.5 chapter 7): one OBR, an OBX for the study, the algorithm, the outcome, every note, and
for each finding a group of OBX of one sub-id: what and where, whether it is there, its numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import hl7

from node.dicom import codes
from node.messages.account import Found, Measured
from node.messages.envelope import Letter, make_common_order, make_header, make_patient, make_request
from node.messages.segments import coded, escape, join, message, number, segment
from pipelines.terms import Code

STUDY = Code("113014", "DCM", "DICOM Study")
VIEWER = Code("VIEWER", "99WETREAD", "The study in a viewer")
AI = Code("AISTATEMENT", "99WETREAD", "Made by artificial intelligence")
STATEMENT = "Made by an algorithm (artificial intelligence). No person has reviewed it."

NOTHING = "I"
"""OBR-25 of what did not run: no results available, procedure incomplete (table 0123). X would cancel the order."""

UNOBTAINABLE = "X"
"""OBX-11 of it (table 0085)."""

CODED = "CWE"

VERY_ABNORMAL = "AA"
"""OBX-8 of a critical finding (table 0078)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One OBX. kind: value type (table 0125). value: escaped already. group: sub-id. name: OBX-3. unit, method, flag:
    OBX-6, OBX-17, OBX-8. missing: it could not be obtained."""

    kind: str
    name: Code
    value: str
    group: str = ""
    unit: Code | None = None
    method: Code | None = None
    flag: str = ""
    missing: bool = False


def make_result(letter: Letter, critical: Sequence[Found] = ()) -> bytes:
    """What the report of `letter` says; `critical` findings bear a flag."""
    account, status = letter.account, letter.template.result_status
    request = make_request(letter, {22: account.made_at, 25: NOTHING if account.did_not_run else status})
    rows = [*list_facts(letter), *_list_findings(account.findings, critical)]
    return message(
        [
            make_header(letter, "ORU^R01^ORU_R01"),
            make_patient(letter),
            make_common_order(letter, "RE"),
            request,
            *make_observations(letter, rows, UNOBTAINABLE if account.did_not_run else status),
        ]
    )


def make_observations(letter: Letter, rows: Iterable[Row], status: str) -> list[hl7.Segment]:
    """An OBX for each of `rows`."""
    return [
        segment(
            "OBX",
            {
                1: str(place),
                2: letter.template.coded_as if row.kind == CODED else row.kind,
                3: coded(row.name),
                4: row.group,
                5: row.value,
                6: coded(row.unit),
                8: row.flag,
                11: UNOBTAINABLE if row.missing else status,
                14: letter.account.made_at,
                17: coded(row.method),
            },
        )
        for place, row in enumerate(rows, 1)
    ]


def list_facts(letter: Letter) -> Iterator[Row]:
    """What the report says as a whole: of which study, by which algorithm, how it ended, every note."""
    account = letter.account
    yield Row("HD", STUDY, join("", escape(account.study_uid), "ISO"))
    if letter.viewer:
        yield Row("RP", VIEWER, escape(letter.viewer))
    yield Row("ST", AI, escape(STATEMENT))
    yield Row("ST", codes.ALGORITHM_NAME, escape(account.algorithm.name))
    yield Row("ST", codes.ALGORITHM_VERSION, escape(account.algorithm.version))
    if account.outcome:
        yield Row(CODED, codes.OUTCOME, coded(account.outcome))
    if account.reason:
        yield Row(CODED, codes.REASON, coded(account.reason))
    for note in account.notes:
        yield Row("TX", codes.COMMENT, escape(note))


def _list_findings(findings: Sequence[Found], critical: Sequence[Found]) -> Iterator[Row]:
    for place, found in enumerate(findings, 1):
        yield from list_finding(found, str(place), VERY_ABNORMAL if found in critical else "")


def list_finding(found: Found, group: str, flag: str = "") -> Iterator[Row]:
    """The rows of one finding, which share the sub-id `group`."""
    if found.concept:
        yield Row(CODED, codes.FINDING, coded(found.concept), group, flag=flag)
    if found.absent:
        yield Row(CODED, codes.PRESENCE, coded(codes.ABSENT), group)
    for name, code in ((codes.FINDING_SITE, found.site), (codes.LATERALITY, found.laterality)):
        if code:
            yield Row(CODED, name, coded(code), group)
    if found.tracking_uid:
        yield Row("ST", codes.TRACKING_UID, escape(found.tracking_uid), group)
    for asked, answer in found.answers:
        yield Row(CODED, asked, coded(answer), group)
    for measured in found.numbers:
        yield _to_row(measured, group)
    for comment in found.comments:
        yield Row("TX", codes.COMMENT, escape(comment), group)


def _to_row(measured: Measured, group: str) -> Row:
    """A derivation such as the mean is OBX-17, and stands in the name too, where people look."""
    concept, derivation = measured.concept, measured.derivation
    name = concept
    if derivation and len(text := f"{concept.meaning} ({derivation.meaning})") <= 64:
        name = Code(concept.value, concept.scheme, text)
    value = "" if measured.value is None else number(measured.value)
    return Row("NM", name, value, group, measured.unit, derivation, missing=measured.value is None)
