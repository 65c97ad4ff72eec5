"""What every page shows of the node's troubles, asked for by many threads at once."""

import time
from threading import Event, Lock, Thread

from node.web.pages.frame import _Remembered

PATIENCE = 20.0


class Overtaken(_Remembered):
    """Nothing was found yet when first asked; an instant later another thread has found something."""

    asked = 0

    @property
    def _found(self):
        self.asked += 1
        return None if self.asked == 1 else self._kept

    @_found.setter
    def _found(self, value):
        self._kept = ["found by another"] if value is None else value


def test_who_is_overtaken_at_the_first_page_gets_an_answer():
    remembered = Overtaken(lambda: ["found"])
    assert remembered.get() == ["found"]
    assert remembered.get() == ["found"]


def test_one_asks_and_all_have_an_answer():
    go_on, lock, asked = Event(), Lock(), []

    def find():
        with lock:
            asked.append(time.monotonic())
        assert go_on.wait(PATIENCE)
        return ["full"]

    remembered = _Remembered(find)
    answers = []
    threads = [Thread(target=lambda: answers.append(remembered.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [["full"]] * 8
    count = len(asked)
    assert remembered.get() == ["full"]
    assert len(asked) == count
