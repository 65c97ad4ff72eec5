"""No answer of a fast peer is lost between two sends."""

import threading
import time

import pytest
from pynetdicom import evt

from node import wiring
from node.config import load_settings
from node.errors import PeerUnreachable
from node.outbound.reactor import hold_reactor
from node.outbound.send import send_files
from node.outbound.store import associate
from tests.series import make_series, write_series

TOML = '[node]\nlisten = "127.0.0.1:0"\nhome = "home"\n[listen]\nmin_free_mb = 16\n'


def test_every_answer_of_a_fast_peer_arrives(tmp_path):
    """Without the hold about one answer in three thousand is lost, and costs a minute each."""
    path = tmp_path / "wetread.toml"
    path.write_text(TOML)
    listener = wiring.make_listener(load_settings(path, {}))
    port = listener.start()
    sent = []

    def send(number):
        paths = write_series(make_series((8, 4, 4)), tmp_path / f"in{number}")
        answers = send_files(paths * 40, f"SCU{number}", ("127.0.0.1", port), "WETREAD", lambda *_: None)
        sent.append((answers.taken, answers.refused))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listener.stop()
    assert sent == [(320, [])] * 4


def test_what_comes_while_the_reactor_is_held_waits_for_whoever_sent(tmp_path):
    """As pynetdicom pauses it, its thread may take one more message; held, it takes none until it is let go."""
    path = tmp_path / "wetread.toml"
    path.write_text(TOML)
    listener = wiring.make_listener(load_settings(path, {}))
    with associate("SCU", ("127.0.0.1", listener.start()), "WETREAD", []) as association:
        for _ in range(50):
            with hold_reactor(association):
                association.dimse.msg_queue.put((None, None))
                time.sleep(0.003)
                assert association.dimse.msg_queue.qsize() == 1
            patience = time.monotonic() + 5
            while association.dimse.msg_queue.qsize() and time.monotonic() < patience:
                time.sleep(0.001)
            assert association.dimse.msg_queue.qsize() == 0
    listener.stop()


def test_a_rejection_that_comes_before_the_asking_thread_wakes_is_told_all_the_same(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML)
    listener = wiring.make_listener(load_settings(path, {}))
    slow = [(evt.EVT_REQUESTED, lambda _event: time.sleep(0.5))]
    with pytest.raises(PeerUnreachable, match="Called AE title not recogni"):  # noqa: SIM117
        with associate("SCU", ("127.0.0.1", listener.start()), "SOMEBODY", [], slow):
            pass
    listener.stop()
