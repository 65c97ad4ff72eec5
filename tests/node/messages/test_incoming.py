"""Orders and patient updates as other systems write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import MessageNotUnderstood
from node.messages.incoming import read_incoming, unescape
from node.messages.orders import read_orders
from node.messages.patients import Merge, Update, read_merges, read_update
from node.messages.segments import escape
from node.model.job import Priority
from node.sections import Hl7
from pipelines.terms import Code

HEAD = "MSH|^~\\&|RIS|H|WETREAD|W|20240101120000||{kind}|77|P|2.5||||||{charset}\r"
PID = "PID|1||P-1^^^HOSP^MR~SSN9^^^GOV||Müller\\F\\Lüden^Zoë^M.^Jr.^Dr.||19600229|F\r"


def make(kind, *segments, charset="UNICODE UTF-8", codec="utf-8"):
    return (HEAD.format(kind=kind, charset=charset) + "\r".join(segments) + "\r").encode(codec)


def read(block, **rules):
    return read_orders(read_incoming(block), Hl7(**rules), 5.0)


ORC = "ORC|NW|PL1^RIS|F1^RIS||||||20240101"
OBR = (
    "OBR|1|PL1^RIS|F1^RIS|CTCH^CT chest^L^24627-2^CT Chest^LN|||||||||cough|||^Doe^Jane^^^Dr.||A-17|RP1||||||||^^^^^R"
    "||||^Fever \\T\\ cough"
)


def test_an_order_for_imaging_by_omi():
    ipc = "IPC|A-18^RIS|RP2|1.2.3.4|SPS1|CT"
    (order,) = read(make("OMI^O23^OMI_O23", PID.strip(), ORC, "TQ1|1||||||||S^Stat^HL70485", OBR, ipc))
    assert (order.accession_number, order.issuer, order.requested_procedure_id) == ("A-18", "RIS", "RP2")
    assert (order.placer_order_number, order.filler_order_number) == ("PL1", "F1")
    assert order.procedure_code == Code("24627-2", "LN", "CT Chest")
    assert order.requested_procedure_description == "CT Chest"
    assert order.reason == "Fever & cough"
    assert order.referring_physician == "Doe^Jane^^Dr."
    assert (order.priority, order.study_uid, order.patient_id) == (Priority.STAT, "1.2.3.4", "P-1")
    assert (order.source, order.at) == ("hl7", 5.0)


def test_an_order_by_orm_with_the_study_uid_of_ihe():
    block = make("ORM^O01", PID.strip(), "PV1|1|O||||||^House^Gregory", ORC, OBR, "ZDS|1.2.840.1^RIS^Application^DICOM")
    (order,) = read(block)
    assert (order.accession_number, order.study_uid) == ("A-17", "1.2.840.1")
    assert order.referring_physician == "House^Gregory"
    assert order.priority == Priority.ROUTINE


def test_several_orders_in_one_message():
    other = OBR.replace("A-17", "A-18").replace("RP1", "RP2")
    orders = read(make("OMG^O19", PID.strip(), ORC, OBR, "NTE|1||note", ORC, other))
    assert [order.accession_number for order in orders] == ["A-17", "A-18"]


def test_a_site_says_where_the_accession_number_is_and_whose_ids_count():
    (order,) = read(make("ORM^O01", PID.strip(), ORC, OBR), accession=["ORC-3"], assigning_authority="GOV")
    assert (order.accession_number, order.patient_id) == ("F1", "SSN9")
    (order,) = read(make("ORM^O01", PID.strip(), ORC, OBR), assigning_authority="ELSEWHERE")
    assert order.patient_id == ""


def test_an_order_that_is_given_up_changes_nothing():
    assert read(make("ORM^O01", PID.strip(), ORC.replace("NW", "CA"), OBR)) == []


@pytest.mark.parametrize(
    ("segments", "code"),
    [([PID.strip()], "100"), ([PID.strip(), ORC], "101"), ([PID.strip(), ORC, "OBR|1|PL1|F1|X"], "101")],
)
def test_an_order_by_which_no_study_is_found_is_refused(segments, code):
    with pytest.raises(MessageNotUnderstood) as caught:
        read(make("ORM^O01", *segments))
    assert caught.value.code == code
    assert "P-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("charset", "codec"), [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("", "utf-8"), ("", "latin-1"),
                           ("8859/15", "iso8859-15"), ("UNICODE UTF-8", "latin-1")]
)  # fmt: skip
def test_letters_come_in_the_declared_character_set_or_in_what_it_looks_like(charset, codec):
    update = read_update(read_incoming(make("ADT^A08^ADT_A01", PID.strip(), charset=charset, codec=codec)), "")
    assert update == Update("P-1", "Müller|Lüden^Zoë^M.^Dr.^Jr.", "19600229", "F")


def test_a_merge_names_what_stays_of_the_same_authority():
    pid = "PID|1||NEW^^^HOSP~SSN1^^^GOV"
    block = make("ADT^A40^ADT_A39", "EVN|A40", pid, "MRG|OLD^^^HOSP~OLDER^^^HOSP", pid.replace("NEW", "N2"), "MRG|O2")
    merges = read_merges(read_incoming(block), "")
    assert merges == [Merge("OLD", "NEW"), Merge("OLDER", "NEW"), Merge("O2", "N2")]
    assert read_merges(read_incoming(block), "HOSP") == merges
    with pytest.raises(MessageNotUnderstood):
        read_merges(read_incoming(make("ADT^A40", pid, "MRG|X^^^ELSEWHERE")), "HOSP")


def test_an_update_without_a_patient_is_refused():
    for segments in ((), ('PID|1||""',)):
        with pytest.raises(MessageNotUnderstood, match="no patient id"):
            read_update(read_incoming(make("ADT^A08", *segments)), "")


def test_delimiters_are_the_sender_s():
    block = make("ORM^O01", PID.strip(), ORC, OBR).translate(bytes.maketrans(b"|^~\\&", b"#:!?*"))
    (order,) = read(block)
    assert order.accession_number == "A-17"
    assert order.reason == "Fever * cough"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"), ("one\\.br\\two", "one\ntwo"), ("\\XC3BC\\x", "üx"),
     ("\\Z99\\x", "x"), ("\\XZZ\\x", "x"), ("open\\end", "open\\end"), ("\\\\", "")],
)  # fmt: skip
def test_escapes_are_undone_and_what_means_nothing_is_left_out(text, meant):
    assert unescape(text) == meant


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_what_is_escaped_comes_back(text):
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("block", [b"", b"MSH", b"hello", b"PID|1", b"MSH|^~\\&", b"\x00" * 50, b"MSH" + b"\xff" * 50])
def test_what_is_no_message_is_refused_and_not_quoted(block):
    with pytest.raises(MessageNotUnderstood):
        message = read_incoming(block)
        read_orders(message, Hl7(), 1.0)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(rest):
    try:
        message = read_incoming(b"MSH|^~\\&|" + rest)
        read_orders(message, Hl7(), 1.0)
    except MessageNotUnderstood:
        pass
