"""Who made a result object and under which uids: the same job and the same algorithm make the same objects."""

from dataclasses import dataclass
from datetime import datetime

from node.model.uid import derive_uid
from pipelines.terms import Manifest


@dataclass(frozen=True, slots=True)
class Authorship:
    """The job and the algorithm behind a set of result objects.

    job_id: identity of the job in the ledger.
    created: when the job was made (aware): Content Date and Time of its objects, so that a rerun repeats them.
    station: AE title of this node.
    """

    job_id: str
    manifest: Manifest
    created: datetime
    station: str

    @property
    def device_uid(self) -> str:
        """Device UID of the algorithm (AIR 6.5.3.1): another version or other weights make another one."""
        m = self.manifest
        return derive_uid("device", m.manufacturer, m.name, m.version, m.weights_sha256)

    def uid(self, *parts: str) -> str:
        """The uid of the object, series or tracked finding named by `parts`."""
        return derive_uid("result", self.job_id, self.device_uid, *parts)
