"""Who is let in, and with what: judged from settings and a caller."""

import pytest

from node.config import Settings
from node.errors import AssociationRejected
from node.security.access import Access, Caller
from node.services import MESSAGE_SYNTAXES, STORAGE_SYNTAXES, VERIFICATION

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
TLS = {"certificate": "node.pem", "key": "node.key", "authorities": "ca.pem"}
EXPLICIT = "1.2.840.10008.1.2.1"


def make_access(unknown="none", **peer):
    peer = {"ae_title": "SCANNER", "address": "127.0.0.1:104", "send": True} | peer
    return Access(
        Settings.model_validate({"listen": {"unknown_callers": unknown, "tls": TLS}, "peers": {"scanner": peer}})
    )


def refuse(access, caller, called="WETREAD"):
    with pytest.raises(AssociationRejected) as refusal:
        access.admit(caller, called)
    error = refusal.value
    return (error.result, error.source, error.reason), str(error)


def test_the_called_title_must_be_ours():
    reason, text = refuse(make_access("any"), Caller("SCANNER", "127.0.0.1"), "OTHER")
    assert reason == (1, 1, 7)
    assert "OTHER" in text


def test_a_peer_calls_from_the_host_of_its_address():
    access = make_access()
    assert access.admit(Caller("SCANNER", "127.0.0.1"), "WETREAD").may_store
    reason, text = refuse(access, Caller("SCANNER", "10.1.2.3"))
    assert reason == (1, 1, 3)
    assert "networks" in text


def test_a_peer_calls_from_its_networks_and_an_ipv4_address_in_ipv6_clothes_is_the_same():
    access = make_access(networks=["10.1.0.0/16", "fd00::/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert access.admit(Caller("SCANNER", address), "WETREAD").may_store
    refuse(access, Caller("SCANNER", "127.0.0.1"))


def test_a_peer_whose_host_has_no_address_now_is_not_believed():
    refuse(make_access(address="no-such-host.invalid:104"), Caller("SCANNER", "127.0.0.1"))


def test_a_peer_with_a_tls_name_shows_the_certificate():
    access = make_access(tls_name="ct1.hospital.test")
    assert "without TLS" in refuse(access, Caller("SCANNER", "127.0.0.1"))[1]
    refuse(access, Caller("SCANNER", "127.0.0.1", frozenset({"other"}), by_tls=True))
    assert access.admit(Caller("SCANNER", "127.0.0.1", frozenset({"ct1.hospital.test"}), by_tls=True), "WETREAD")


@pytest.mark.parametrize(
    ("unknown", "address", "welcome"),
    [
        ("none", "127.0.0.1", False),
        ("loopback", "127.0.0.1", True),
        ("loopback", "::1", True),
        ("loopback", "10.0.0.1", False),
        ("any", "10.0.0.1", True),
    ],
)
def test_who_is_no_peer_is_let_in_by_the_rule_for_unknown_callers(unknown, address, welcome):
    access = make_access(unknown)
    if welcome:
        assert access.admit(Caller("STRANGER", address), "WETREAD").may_store
    else:
        assert refuse(access, Caller("STRANGER", address))[0] == (1, 1, 3)


def test_our_own_title_may_ask_but_not_send():
    assert not make_access().admit(Caller("WETREAD", "10.0.0.1"), "WETREAD").may_store


def test_a_peer_sends_what_its_lists_name_in_the_order_of_the_door():
    admission = make_access(
        sop_classes=["CT Image Storage"], transfer_syntaxes=["ExplicitVRLittleEndian", "JPEG2000Lossless"]
    ).admit(Caller("SCANNER", "127.0.0.1"), "WETREAD")
    assert admission.find_syntaxes(CT) == (EXPLICIT, "1.2.840.10008.1.2.4.90")
    assert admission.find_syntaxes(MR) == ()
    assert admission.find_syntaxes(VERIFICATION) == MESSAGE_SYNTAXES


def test_a_peer_that_may_not_send_has_no_storage_class():
    admission = make_access(send=False).admit(Caller("SCANNER", "127.0.0.1"), "WETREAD")
    assert admission.find_syntaxes(CT) == ()
    all_of_it = make_access().admit(Caller("SCANNER", "127.0.0.1"), "WETREAD")
    assert all_of_it.find_syntaxes(CT) == STORAGE_SYNTAXES
