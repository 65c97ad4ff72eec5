"""What is held of the studies under way: asked for every image, so answered from memory."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

STUDIES = 64
INSTANCES = 100_000
"""As many are remembered at most; the study that nobody asked for longest goes first."""

Digests = dict[str, str]
"""SOP Instance UID -> digest."""


class Known:
    """Digests by study. load: asks the ledger for those of one study."""

    def __init__(self, load: Callable[[str], Digests]) -> None:
        self._load = load
        self._lock = Lock()
        self._studies: OrderedDict[str, Digests] = OrderedDict()
        self._size = 0

    def find(self, study_uid: str, sop_instance_uid: str) -> str | None:
        """The digest that is held under `sop_instance_uid` in the study."""
        with self._lock:
            digests = self._studies.get(study_uid)
            if digests is not None:
                self._studies.move_to_end(study_uid)
                return digests.get(sop_instance_uid)
        loaded = self._load(study_uid)
        with self._lock:
            digests = self._studies.setdefault(study_uid, {})
            fresh = {uid: digest for uid, digest in loaded.items() if uid not in digests}
            digests.update(fresh)
            self._size += len(fresh)
            self._forget()
            return digests.get(sop_instance_uid)

    def add(self, study_uid: str, sop_instance_uid: str, digest: str) -> None:
        """Remembers that `digest` is held now, if the study is remembered at all."""
        with self._lock:
            digests = self._studies.get(study_uid)
            if digests is not None and sop_instance_uid not in digests:
                digests[sop_instance_uid] = digest
                self._size += 1

    def forget(self, study_uid: str) -> None:
        """The next question about this study goes to the ledger."""
        with self._lock:
            self._size -= len(self._studies.pop(study_uid, {}))

    def _forget(self) -> None:
        while len(self._studies) > 1 and (len(self._studies) > STUDIES or self._size > INSTANCES):
            _, digests = self._studies.popitem(last=False)
            self._size -= len(digests)
