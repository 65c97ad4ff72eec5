"""Who may come in, how many at once and for how long, each refusal with its own reason (PS3.8 table 9-21)."""

import time

import pytest

from tests.flow.door import Door, make_images
from tests.flow.wire import (
    ABORT,
    CT,
    ECHO,
    EXPLICIT,
    IMPLICIT,
    MR,
    P_DATA,
    PERMANENT,
    TRANSIENT,
    USUAL,
    VERIFICATION,
    Closed,
    Rejected,
    make_pdu,
    make_pdv,
    make_request,
    make_store,
)

CALLED_UNKNOWN, CALLING_UNKNOWN = (PERMANENT, 1, 7), (PERMANENT, 1, 3)
LIMIT_EXCEEDED = (TRANSIENT, 3, 2)
PEERS = """
[peers.scanner]
ae_title = "SCANNER"
address = "127.0.0.1:1"
send = true
[peers.near]
ae_title = "NEAR"
address = "10.9.9.9:1"
networks = ["127.0.0.2", "127.0.3.0/24"]
send = true
[peers.choosy]
ae_title = "CHOOSY"
address = "127.0.0.1:2"
sop_classes = ["CTImageStorage"]
transfer_syntaxes = ["ExplicitVRLittleEndian"]
send = true
[peers.archive]
ae_title = "ARCHIVE"
address = "127.0.0.1:3"
[peers.test]
ae_title = "TEST"
address = "127.0.0.1:4"
send = true
"""
LIMITS = """
unknown_callers = "any"
max_associations = 4
max_associations_per_peer = 2
idle_timeout = "PT5S"
handshake_timeout = "PT1S"
max_pdu = 8192
max_stores_per_second = 20
max_association_gb = 1
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with Door(tmp_path_factory.mktemp("strict"), 'unknown_callers = "none"', PEERS) as door:
        yield door


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with Door(tmp_path_factory.mktemp("limited"), LIMITS, PEERS) as door:
        yield door


def ask(door, contexts=USUAL, source="127.0.0.1", **titles):
    """Accepted contexts, id -> transfer syntax; or the rejection."""
    with door.wire(source=source) as wire:
        try:
            accepted = wire.associate(contexts, **titles).accepted
        except Rejected as refusal:
            return refusal.answer
        wire.release()
        return accepted


# Who


def test_another_called_title_is_refused(strict):
    assert ask(strict, calling="SCANNER", called="SOMEBODY") == CALLED_UNKNOWN


def test_an_unknown_caller_is_refused(strict):
    assert ask(strict, calling="STRANGER") == CALLING_UNKNOWN
    assert ask(strict, calling="SCANNER") == {1: EXPLICIT, 3: IMPLICIT}


def test_a_peer_comes_from_its_own_networks_alone(strict):
    assert ask(strict, calling="NEAR", source="127.0.0.1") == CALLING_UNKNOWN
    assert ask(strict, calling="NEAR", source="127.0.0.2") == {1: EXPLICIT, 3: IMPLICIT}
    assert ask(strict, calling="NEAR", source="127.0.3.77") == {1: EXPLICIT, 3: IMPLICIT}
    assert ask(strict, calling="NEAR", source="127.0.4.1") == CALLING_UNKNOWN


def test_without_networks_a_peer_comes_from_its_address(strict):
    assert ask(strict, calling="SCANNER", source="127.0.0.2") == CALLING_UNKNOWN


def test_where_anybody_may_send_the_title_of_a_peer_is_still_no_disguise(limited):
    assert ask(limited, calling="STRANGER", source="127.0.0.7") == {1: EXPLICIT, 3: IMPLICIT}
    assert ask(limited, calling="NEAR", source="127.0.0.7") == CALLING_UNKNOWN


def test_a_peer_that_may_not_send_gets_verification_alone(strict):
    assert ask(strict, calling="ARCHIVE") == {3: IMPLICIT}


def test_a_peer_sends_only_what_its_lists_name(strict):
    contexts = ((CT, (IMPLICIT, EXPLICIT)), (MR, (EXPLICIT,)), (CT, (IMPLICIT,)), (VERIFICATION, (IMPLICIT,)))
    assert ask(strict, contexts, calling="CHOOSY") == {1: EXPLICIT, 7: IMPLICIT}


# How many


def test_associations_are_limited_per_peer_and_in_all(limited):
    with limited.wire() as one, limited.wire() as two, limited.wire() as three, limited.wire() as four:
        one.associate(calling="SCANNER")
        two.associate(calling="SCANNER")
        assert ask(limited, calling="SCANNER") == LIMIT_EXCEEDED
        three.associate(calling="CHOOSY")
        four.associate(calling="ARCHIVE")
        assert ask(limited, calling="TEST") == LIMIT_EXCEEDED
        one.release()
        limited.wait_until(lambda: ask(limited, calling="TEST") == {1: EXPLICIT, 3: IMPLICIT}, 20)
        assert two.echo() == 0x0000
        two.socket.close()  # gone without a word: it counts no longer either
        limited.wait_until(lambda: ask(limited, calling="SCANNER") == {1: EXPLICIT, 3: IMPLICIT}, 20)


def test_a_peer_that_sends_too_fast_is_slowed_not_refused(limited):
    images = list(make_images(50, seed=6))
    start = time.monotonic()
    with limited.wire() as wire:
        wire.associate()
        assert {wire.store(*image) for image in images} == {0x0000}
        wire.release()
    assert time.monotonic() - start > 1.0  # 50 at 20/s, less a second's worth at once


def test_an_association_that_brings_too_much_is_aborted_and_leaves_nothing(limited):
    block = make_pdu(P_DATA, make_pdv(1, 0, bytes(limited.settings.listen.max_pdu - 6))) * 64
    uid, dataset = next(make_images(1, seed=7))
    with limited.watch() as watch, limited.wire() as wire:
        wire.associate()
        wire.send(make_pdu(P_DATA, make_pdv(1, 3, make_store(uid))) + make_pdu(P_DATA, make_pdv(1, 0, dataset[:8000])))
        sent = 0
        with pytest.raises(Closed) as end:
            while sent < 1.2e9:
                wire.send(block)
                sent += len(block)
        assert end.value.aborted
        assert sent > 0.99e9
    watch.expect_calm()
    limited.wait_until(lambda: not limited.find_parts(), 20)
    assert limited.ledger.find_instance(uid) is None


def test_the_longest_pdu_is_announced_and_taken_to_its_last_byte(limited):
    uid, dataset = next(make_images(1, seed=8))
    with limited.wire() as wire:
        wire.associate()
        assert wire.max_pdu == 8192
        assert len(dataset) > 8192 - 6
        assert wire.store(uid, dataset) == 0x0000
        wire.send(make_pdu(P_DATA, make_pdv(1, 3, make_store(uid))))
        wire.send(make_pdu(P_DATA, make_pdv(1, 0, dataset[: 8192 - 5])))  # one byte too long
        assert wire.read_to_end(30) == [ABORT]
    limited.expect_row(uid, dataset)


# How long


def test_an_association_that_falls_silent_is_aborted(limited):
    start = time.monotonic()
    with limited.wire() as wire:
        wire.associate()
        assert wire.read_to_end(30) == [ABORT]
        assert time.monotonic() - start > 4.5


def test_an_association_that_falls_silent_in_the_middle_of_an_image_is_aborted(limited):
    uid, dataset = next(make_images(1, seed=9))
    with limited.wire() as wire:
        wire.associate()
        data = make_pdu(P_DATA, make_pdv(1, 0, dataset[:8000]))
        start = time.monotonic()
        wire.send(make_pdu(P_DATA, make_pdv(1, 3, make_store(uid))) + data[:4000])
        assert wire.read_to_end(30) == [ABORT]
        assert time.monotonic() - start > 4.5
    limited.wait_until(lambda: not limited.find_parts(), 20)


def test_an_association_that_says_something_now_and_then_stays(limited):
    with limited.wire() as wire:
        wire.associate()
        for _ in range(4):  # in all longer than it may be silent
            time.sleep(1.6)
            assert wire.echo() == 0x0000
        wire.release()


@pytest.mark.parametrize("size", [0, 3, 80], ids=["nothing", "half a header", "half a request"])
def test_a_connection_that_never_asks_for_an_association_is_closed(limited, size):
    start = time.monotonic()
    with limited.wire() as wire:
        wire.send(make_request()[:size])
        assert wire.read_to_end(30) in ([], [ABORT])
        assert time.monotonic() - start > 0.5


def test_a_request_that_drips_is_not_waited_for(limited):
    start = time.monotonic()
    with limited.wire() as wire, pytest.raises(Closed):
        for byte in make_request(ECHO):
            wire.send(bytes([byte]))
            time.sleep(0.05)
    assert time.monotonic() - start > 0.5
