"""No answer of a fast peer is lost between two sends."""

import threading

from node import wiring
from node.config import load_settings
from node.outbound.send import send_files
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
