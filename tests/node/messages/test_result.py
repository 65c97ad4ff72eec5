"""A result as ORU^R01, read back by two libraries that know nothing of us."""

import logging
import tempfile
from contextlib import suppress
from dataclasses import replace

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ValidationError
from hl7apy.parser import parse_message

from node.dicom.read_report import read_findings
from node.messages.account import Measured, read_account
from node.messages.critical import find_critical
from node.messages.order_update import make_order_update
from node.messages.result import make_result
from node.messages.segments import escape, number, patient_name
from node.sections import OrderUpdate
from pipelines.terms import Code
from tests.node.messages.letters import DENSITY, NAME, ORDER, TEMPLATE, make_letter, make_refused, make_report


def validate(text):
    """The message as hl7apy reads it, valid by the tables of HL7 2.5."""
    message = parse_message(text.decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    with tempfile.NamedTemporaryFile("r") as report:
        with suppress(ValidationError):
            message.validate(report_file=report.name)
        errors = [line for line in report.read().splitlines() if line.startswith("Error")]
    # hl7apy takes the choice between OBR and five other segments in ORM_O01 for a list of which all must be there.
    assert not [line for line in errors if "ORM_O01_OBRRQDRQ1RXOODSODT_SUPPGRP" not in line or "OBR" in line[-4:]]
    return message


def read(text):
    return hl7.parse(text.decode("utf-8"))


def list_rows(message):
    """(value type, code, sub-id, value, unit, flag, status) of every OBX."""
    rows = []
    for one in message["OBX"]:
        cells = [str(one[n]) if len(one) > n else "" for n in (2, 3, 4, 5, 6, 8, 11)]
        rows.append((cells[0], cells[1].split("^")[0], *cells[2:]))
    return rows


def test_a_result_is_valid_by_hl7_2_5_and_says_what_the_report_says():
    report = make_report(absent=True)
    letter = make_letter(report, order=ORDER, viewer="https://viewer.test/?a=1&study=1.2.3")
    text = make_result(letter)
    validate(text)
    message = read(text)
    rows = list_rows(message)
    assert [row[1] for row in rows if row[2] == ""] == [
        "113014", "VIEWER", "AISTATEMENT", "111001", "111003", "111017", *["121106"] * 2,
    ]  # fmt: skip
    findings = read_findings(report)
    for place, finding in enumerate(findings, 1):
        group = [row for row in rows if row[2] == str(place)]
        assert group[0][3].split("^")[0] == finding["finding"].value
        assert ("121052" in [row[1] for row in group]) == finding["absent"]
        numbers = [(row[1], float(row[3]), row[4].split("^")[0]) for row in group if row[0] == "NM"]
        assert numbers == [(m["concept"].value, m["value"], m["unit"].value) for m in finding["measurements"]]
    assert len(findings) == 3
    assert {row[6] for row in rows} == {"P"}
    assert str(message.segment("OBR")[25]) == "P"


def test_an_answer_is_told_with_its_finding():
    text = make_result(make_letter(make_report(answers=(DENSITY,))))
    validate(text)
    answers = [row[:4] for row in list_rows(read(text)) if row[1] == "NOD-DENS"]
    assert answers == [("CWE", "NOD-DENS", str(n), "RID50151^Solid pulmonary nodule^RADLEX") for n in (1, 2)]


def test_whose_it_is_and_under_which_order():
    message = read(make_result(make_letter(order=ORDER)))
    header, patient, request = message.segment("MSH"), message.segment("PID"), message.segment("OBR")
    assert [str(header[n]) for n in (3, 5, 6, 9, 10, 11, 12, 18)] == [
        "WETREAD", "RIS", "HOSPITAL", "ORU^R01^ORU_R01", "WR0123456789ABCDEF01", "P", "2.5", "UNICODE UTF-8",
    ]  # fmt: skip
    assert str(patient[3]) == "P-1\\T\\7^^^HOSP"
    assert str(patient[7]) == "19600229"
    assert str(patient[8]) == "F"
    assert str(request[2]) == "PL\\S\\1"
    assert str(request[3]) == "F1"
    assert str(request[4]) == "CTCHEST^CT chest^L"
    assert str(request[7]) == "20240102030405+0100"
    assert str(request[16]) == "^House^Gregory"
    assert str(request[18]) == "A-17"
    assert str(request[19]) == "RP1"
    assert str(request[31]) == "^Cough \\T\\ fever"


def test_a_name_keeps_its_letters_its_delimiters_and_its_three_groups():
    text = make_result(make_letter())
    assert "Müller\\F\\Lüden^Zoë^M.^Jr.^Dr.^^^A~山田^太郎^^^^^^I~やまだ^たろう^^^^^^P".encode() in text
    patient = validate(text).children[1].children[0].pid
    assert patient.pid_5[0].xpn_1.to_er7() == "Müller\\F\\Lüden"
    assert [name.xpn_8.value for name in patient.pid_5] == ["A", "I", "P"]
    assert patient_name("") == patient_name("^^") == ""


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b^c&d~e\\f", "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"),
        ("two\r\nlines\nthree\rfour", "two\\.br\\lines\\.br\\three\\.br\\four"),
        ("\x0bMSH\x1c\x00\x85", "MSH"),
        ("µm² 山", "µm² 山"),
    ],
)
def test_text_that_could_break_a_message_cannot(text, escaped):
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "1"), (-321.5, "-321.5"), (1e-7, "0.0000001"), (1e16, "1" + "0" * 16), (0.1, "0.1")],
)
def test_a_number_has_no_exponent(value, said):
    assert number(value) == said


def test_a_site_names_the_procedure_else_the_order_does_else_the_report():
    own = TEMPLATE.model_copy(update={"procedures": {"lung-nodule": Code("AI7", "L", "AI chest")}})
    for letter, said in (
        (make_letter(order=ORDER, template=own), "AI7^AI chest^L"),
        (make_letter(order=ORDER), "CTCHEST^CT chest^L"),
        (make_letter(), "25045-6^CT unspecified body region^LN"),
    ):
        assert str(read(make_result(letter)).segment("OBR")[4]) == said


def test_without_an_order_the_result_has_a_number_of_its_own_that_later_versions_share():
    first, second = make_letter(), make_letter(make_report(job_id="job-2"))
    numbers = {str(read(make_result(letter)).segment("OBR")[3]) for letter in (first, second)}
    assert len(numbers) == 1
    assert numbers.pop().endswith("^WETREAD")
    other = read(make_result(replace(first, route="another")))
    assert str(other.segment("OBR")[3]) != str(read(make_result(first)).segment("OBR")[3])


def test_that_the_algorithm_did_not_run_cannot_be_read_as_nothing_found():
    letter = make_letter(make_refused(), order=ORDER)
    text = make_result(letter)
    validate(text)
    message = read(text)
    assert str(message.segment("OBR")[25]) == "I"
    rows = list_rows(message)
    assert {row[6] for row in rows} == {"X"}
    said = {row[1]: row[3] for row in rows}
    assert said["111017"].startswith("111245^")
    assert said["REFUSALREASON"] == "R111^Slices are missing^99WETREAD"
    assert "did not run" in said["121106"]
    assert not [row for row in rows if row[2]]


def test_a_number_that_could_not_be_obtained_is_missing_and_not_zero():
    letter = make_letter()
    found = letter.account.findings[0]
    lost = replace(found, numbers=(Measured(found.numbers[0].concept, None, None, None),))
    letter = replace(letter, account=replace(letter.account, findings=(lost,)))
    text = make_result(letter)
    validate(text)
    row = next(row for row in list_rows(read(text)) if row[0] == "NM")
    assert (row[3], row[6]) == ("", "X")


def test_a_mean_is_told_from_other_numbers_of_its_kind():
    rows = [one for one in read(make_result(make_letter()))["OBX"] if str(one[3]).startswith("112031^")]
    assert {str(row[3]) for row in rows} == {"112031^Attenuation Coefficient (Mean)^DCM"}
    assert {str(row[17]) for row in rows} == {"373098007^Mean^SCT"}


def test_critical_is_what_the_site_says_and_nothing_that_is_absent_or_out_of_its_limits():
    account = read_account(make_report(absent=True))
    critical = find_critical(account, TEMPLATE.critical)
    assert [found.numbers[0].value for found in critical] == [2.0]
    flags = [row[5] for row in list_rows(read(make_result(make_letter(), critical))) if row[1] == "121071"]
    assert flags == ["", "AA"]
    missing = replace(account, findings=tuple(replace(found, absent=True) for found in account.findings))
    assert not find_critical(missing, TEMPLATE.critical)
    assert not find_critical(read_account(make_refused()), TEMPLATE.critical)


@pytest.mark.parametrize("order", [None, ORDER])
@pytest.mark.parametrize("kind", [OrderUpdate.OMI, OrderUpdate.ORM])
def test_an_order_update_is_valid_and_raises_the_priority(kind, order):
    letter = make_letter(order=order)
    text = make_order_update(letter, kind, find_critical(letter.account, TEMPLATE.critical))
    validate(text)
    message = read(text)
    assert str(message.segment("MSH")[9]).startswith(kind.value)
    assert str(message.segment("ORC")[1]) == "XO"
    assert str(message.segment("OBR")[5]) == "S"
    assert str(message.segment("OBR")[18]) == "A-17"
    if kind == OrderUpdate.OMI:
        assert str(message.segment("TQ1")[9]) == "S^Stat^HL70485"
        procedure = "RP1" if order else "A-17"
        study = letter.account.study_uid
        assert [str(cell) for cell in message.segment("IPC")[1:]] == ["A-17", procedure, study, procedure]
    else:
        assert str(message.segment("ORC")[7]) == str(message.segment("OBR")[27]) == "^^^^^S"
    said = [row for row in list_rows(message) if row[0] == "NM" and row[1] == "118565006"]
    assert [row[3] for row in said] == ["2"]


def test_a_receiver_that_knows_no_cwe_gets_ce():
    letter = make_letter(template=TEMPLATE.model_copy(update={"coded_as": "CE"}))
    text = make_result(letter)
    validate(text)
    assert {row[0] for row in list_rows(read(text))} == {"CE", "HD", "NM", "ST", "TX"}


def test_the_same_letter_is_the_same_text():
    assert make_result(make_letter()) == make_result(make_letter())


def test_nothing_of_the_patient_is_shown_by_what_holds_it(caplog):
    with caplog.at_level(logging.DEBUG):
        letter = make_letter(order=ORDER)
        make_result(letter)
    shown = f"{letter!r} {letter.account!r} {letter.account.patient!r} {caplog.text}"
    for secret in ("Müller", "P-1", "A-17", "House", "19600229", NAME[:3]):
        assert secret not in shown
