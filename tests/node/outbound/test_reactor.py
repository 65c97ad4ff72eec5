"""No answer of a fast peer is lost between two sends."""

import queue
import threading
import time

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context, build_role, evt

from node import wiring
from node.config import load_settings
from node.demo.pacs import StandInPacs
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE as PUSH_INSTANCE
from node.errors import PeerUnreachable
from node.outbound.reactor import hold_reactor
from node.outbound.send import send_files
from node.outbound.store import associate
from tests.node.outbound.house import CT
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


def test_a_report_served_while_the_reactor_pauses_keeps_nobody_from_sending_or_releasing(tmp_path):
    """pynetdicom serves it in a thread of its own, which says that the reactor goes on."""
    pacs = StandInPacs(tmp_path / "pacs")
    servers, ended = queue.Queue(), threading.Event()

    def take_report(event):
        servers.put(threading.current_thread())
        return 0x0000, None

    def ask():
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=False)
        contexts, handlers = [build_context(STORAGE_COMMITMENT_PUSH_MODEL)], [(evt.EVT_N_EVENT_REPORT, take_report)]
        line = associate("SCU", ("127.0.0.1", port), "PACS", contexts, handlers, [role])
        with line as association, hold_reactor(association):
            association.send_n_action(make_request(), 1, STORAGE_COMMITMENT_PUSH_MODEL, PUSH_INSTANCE)
            servers.get(timeout=10).join()
            association.send_c_echo()
        ended.set()

    port = pacs.start()
    threading.Thread(target=ask, daemon=True).start()
    assert ended.wait(30)
    pacs.stop()


def make_request():
    request, item = Dataset(), Dataset()
    request.TransactionUID = generate_uid(prefix=None)
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, generate_uid(prefix=None)
    request.ReferencedSOPSequence = [item]
    return request


def test_a_rejection_that_comes_before_the_asking_thread_wakes_is_told_all_the_same(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text(TOML)
    listener = wiring.make_listener(load_settings(path, {}))
    slow = [(evt.EVT_REQUESTED, lambda _event: time.sleep(0.5))]
    with pytest.raises(PeerUnreachable, match="Called AE title not recogni"):  # noqa: SIM117
        with associate("SCU", ("127.0.0.1", listener.start()), "SOMEBODY", [], slow):
            pass
    listener.stop()
