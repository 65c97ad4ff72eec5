"""Who made a result object and under which uids: the same job and the same algorithm make the same objects.

A job may be the next version of an earlier one. Then each of its objects goes on in the series of the one that it
follows, where all that belongs to the series is as it was: the algorithm, the frame of reference, date and time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from node.model.order import Order
from node.model.uid import derive_uid
from pipelines.terms import Manifest


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A result object of an earlier version that reached a destination.

    job_id, version: of the job that made it. series_uid: of the series in which it is.
    began: when that series was begun (seconds since the epoch): its Series Date and Time.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference_uid: str
    modality: str
    job_id: str
    version: int
    began: float

    @property
    def began_at(self) -> datetime:
        return datetime.fromtimestamp(self.began, UTC)


@dataclass(frozen=True, slots=True)
class Authorship:
    """The job and the algorithm behind a set of result objects.

    job_id: identity of the job in the ledger.
    created: when the job was made (aware): Content Date and Time of its objects, so that a rerun repeats them.
    station: AE title of this node.
    version: of the study, that the job was made for. predecessors: what its objects replace.
    order: that the job answers, as it was when the job was made; None where none is known.
    """

    job_id: str
    manifest: Manifest
    created: datetime
    station: str
    version: int = 1
    predecessors: tuple[Predecessor, ...] = ()
    order: Order | None = None

    @property
    def device_uid(self) -> str:
        """Device UID of the algorithm (AIR 6.5.3.1): another version or other weights make another one."""
        m = self.manifest
        return derive_uid("device", m.manufacturer, m.name, m.version, m.weights_sha256)

    def uid(self, *parts: str) -> str:
        """The uid of the object, series or tracked finding named by `parts`."""
        return derive_uid("result", self.job_id, self.device_uid, *parts)

    def find_predecessors(self, part: str, sop_class_uid: str, modality: str) -> list[Predecessor]:
        """What the object `part` replaces: the object of that name where the same algorithm made one, else all that
        are of its class; a segmentation of either form is of the class of the other."""
        like = [
            one for one in self.predecessors
            if one.sop_class_uid == sop_class_uid or (modality == "SEG" and one.modality == "SEG")
        ]  # fmt: skip
        return [one for one in like if self._is_same_part(one, part)] or like

    def find_series(self, part: str, frame_of_reference_uid: str) -> Predecessor | None:
        """The object in whose series the object `part` goes on. None where there is none, or where what belongs to the
        series is another now: the algorithm (General Equipment) or the frame of reference."""
        for one in self.predecessors:
            if self._is_same_part(one, part):
                return one if one.frame_of_reference_uid in {"", frame_of_reference_uid} else None
        return None

    def describe(self, what: str) -> str:
        """`what` for a person, with the versions in front where it replaces an earlier one. At most 64 characters."""
        if self.predecessors:
            replaced = max(one.version for one in self.predecessors)
            what = f"version {self.version}, replaces version {replaced}: {what}"
        return what[:64]

    def _is_same_part(self, earlier: Predecessor, part: str) -> bool:
        return earlier.sop_instance_uid == derive_uid("result", earlier.job_id, self.device_uid, part)
