"""kill -9 of the listener at 50 random moments of a load: what was answered with 0x0000 is kept, whole and indexed."""

import random
import threading
import time
from collections import deque

import pytest

from tests.flow.door import Door, make_images, read_kept, sha256
from tests.flow.wire import Closed, Rejected

IMAGES, KILLS, SENDERS = 2000, 50, 4


class Load:
    """Images on several associations at once, sent again after every break until each is answered."""

    def __init__(self, door: Door, images: dict[str, bytes]) -> None:
        self.answered: set[str] = set()
        self.refused: list[tuple[str, int]] = []
        self.breaks = 0
        self._door, self._images = door, images
        self._waiting = deque(images)
        self._news = threading.Condition()
        self.senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def wait_for(self, count: int, seconds: float) -> None:
        """Until `count` images are answered."""
        with self._news:
            enough = self._news.wait_for(lambda: len(self.answered) >= count, seconds)
        assert enough, f"{len(self.answered)} of {count} answered; the door's log ends with\n{self._door.log_tail()}"

    def _send(self) -> None:
        while len(self.answered) + len(self.refused) < len(self._images):
            try:
                self._send_some()
            except (OSError, Closed, Rejected):
                self.breaks += 1
                time.sleep(0.01)

    def _send_some(self) -> None:
        with self._door.wire() as wire:
            wire.associate()
            while self._waiting:
                uid = self._waiting.popleft()
                try:
                    self._note(uid, wire.store(uid, self._images[uid]))
                except BaseException:
                    self._waiting.appendleft(uid)  # unanswered: it goes again
                    raise
            wire.release()
        time.sleep(0.01)  # others may still give theirs back

    def _note(self, uid: str, status: int) -> None:
        with self._news:
            if status == 0x0000:
                self.answered.add(uid)
            else:
                self.refused.append((uid, status))
            self._news.notify_all()


@pytest.fixture(scope="module")
def images():
    return dict(make_images(IMAGES, seed=1))


def test_whatever_was_answered_outlives_fifty_kills_and_one_right_after_the_last_answer(tmp_path, images):
    chance = random.Random(20240607)
    moments = sorted(chance.sample(range(10, IMAGES - 10), KILLS))
    kills = 0
    with Door(tmp_path) as door:
        load = Load(door, images)
        for sender in load.senders:
            sender.start()
        for moment in moments:
            load.wait_for(moment, 30)
            time.sleep(chance.uniform(0, 0.003))
            door.kill()
            kills += 1
            door.start()
        load.wait_for(IMAGES, 30)
        door.kill()  # rows that were still to be written are lost with it
        door.start()
        rows = {uid: door.ledger.find_instance(uid) for uid in load.answered}
        for sender in load.senders:
            sender.join(5)
        assert kills == KILLS
        assert load.refused == []
        assert load.breaks >= KILLS
        assert load.answered == set(images)
        assert [uid for uid, row in rows.items() if row is None] == []
        for uid, row in rows.items():
            _, dataset = read_kept(door.spool / row.path)
            assert sha256(dataset) == sha256(images[uid])
            assert row.digest in row.path
        assert len(door.find_kept()) == IMAGES
        assert {path.suffix for path in door.find_parts()} <= {".part"}


def test_a_kill_while_large_images_are_half_sent_leaves_nothing_half_written_in_sight(tmp_path):
    chance = random.Random(7)
    sent = dict(make_images(12, side=2048, seed=2))
    with Door(tmp_path) as door:
        load = Load(door, sent)
        for sender in load.senders:
            sender.start()
        for moment in (1, 4, 8):
            load.wait_for(moment, 30)
            time.sleep(chance.uniform(0, 0.03))
            door.kill()
            for path in door.find_kept():
                read_kept(path)
            door.start()
        load.wait_for(len(sent), 30)
        assert load.refused == []
        for uid, dataset in sent.items():
            door.expect_row(uid, dataset)
        assert len(door.find_kept()) == len(sent)
