"""What a receiver says of a message is believed in codes alone."""

import pytest

from node.messages.acknowledgment import Verdict, read_acknowledgment

HEAD = "MSH|^~\\&|RIS|H|WETREAD||20240101||ACK|7|P|2.5\r"


@pytest.mark.parametrize(
    ("rest", "verdict", "text"),
    [
        ("MSA|AA|ID", Verdict.TAKEN, "AA"),
        ("MSA|CA|ID", Verdict.TAKEN, "CA"),
        ("MSA|AE|ID|Doe^John is locked\rERR||PID^1|206^locked^HL70357|E", Verdict.LATER,
         "AE, ERR 206 (application record locked)"),
        ("MSA|CE|ID", Verdict.LATER, "CE"),
        ("MSA|AR|ID|Doe^John\rERR||PID^1^3|204^Doe^HL70357|E||||Doe", Verdict.REFUSED,
         "AR, ERR 204 (unknown key identifier)"),
        ("MSA|AR|ID\rERR|PID^1^3^101&missing&HL70357", Verdict.REFUSED, "AR, ERR 101 (required field missing)"),
        ("MSA|CR|ID||||207^internal", Verdict.REFUSED, "CR, ERR 207 (application internal error)"),
    ],
)  # fmt: skip
def test_what_it_says_is_told_by_its_codes(rest, verdict, text):
    reply = read_acknowledgment((HEAD + rest + "\r").encode(), "ID")
    assert (reply.verdict, reply.text) == (verdict, text)


@pytest.mark.parametrize(
    "block", [b"", b"hello", HEAD.encode(), (HEAD + "MSA|AA|OTHER\r").encode(), (HEAD + "MSA|XX|ID\r").encode(),
              (HEAD + "MSA|AA").encode(), b"MSH", b"MSH|", b"\xff\xfe", b"MSH|^~\\&\rMSA"]
)  # fmt: skip
def test_what_is_no_acknowledgment_of_the_message_says_nothing(block):
    assert read_acknowledgment(block, "ID") is None
