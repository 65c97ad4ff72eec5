"""What the node knows of a study that somebody works at: modalities, who sent it, and whether it is urgent to a reader.

In:  a Study Instance UID.   Out: facts of the index of DICOMweb and of the ledger, nothing of the patient.
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.config import Settings
from node.ledger import Ledger
from node.model.message import MessageState, Subject


@dataclass(frozen=True, slots=True)
class Known:
    """sites: names of the peers that sent it, AE titles of those that are none. is_critical: a receiver of messages
    was, or will be, told that it be read sooner."""

    modalities: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    is_critical: bool = False


class Knowledge:
    """Looks studies up. find_modalities: modality by series, of a study."""

    def __init__(self, settings: Settings, ledger: Ledger, find_modalities: Callable[[str], dict[str, str]]) -> None:
        self._ledger = ledger
        self._find_modalities = find_modalities
        self._names = {peer.ae_title: name for name, peer in settings.peers.items()}

    def find(self, study_uid: str) -> Known:
        """Of a study that never came, nothing."""
        if not study_uid:
            return Known()
        callers = {caller for caller, *_ in self._ledger.find_associations(study_uid)}
        return Known(
            modalities=tuple(sorted(set(self._find_modalities(study_uid).values()) - {""})),
            sites=tuple(sorted(self._names.get(caller, caller) for caller in callers if caller)),
            is_critical=self._is_critical(study_uid),
        )

    def _is_critical(self, study_uid: str) -> bool:
        """By the jobs that speak for it: what is superseded no longer counts."""
        jobs = [job for job in self._ledger.find_jobs(study_uid) if not job.superseded_by]
        messages = (one for job in jobs for one in self._ledger.find_messages(job.id))
        return any(one.subject == Subject.PRIORITY and one.state != MessageState.DROPPED for one in messages)
