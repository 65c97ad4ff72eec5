"""The port behind which another manager's worklist stands, whichever wire leads to it."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydicom import Dataset

Model = Mapping[str, Any]
"""A workitem as DICOM JSON (PS3.18 F.2)."""

RETURNED = (
    "SOPInstanceUID",
    "ProcedureStepState",
    "ScheduledProcedureStepPriority",
    "InputReadinessState",
    "WorklistLabel",
    "ScheduledWorkitemCodeSequence",
    "ScheduledStationNameCodeSequence",
    "ScheduledHumanPerformersSequence",
)
"""What a search asks for: all that the claim guard looks at."""

MOST = 1000
"""Answers to one search that are read: the list that is left is found when these are done."""


class Board(Protocol):
    """One manager's worklist. Every verb raises PeerUnreachable when it does not answer, or not now, and PeerRefused
    with what it answers instead."""

    def search(self, label: str, station: str) -> list[Model]:
        """Workitems that are SCHEDULED and READY, at most MOST, with what is in RETURNED. label, station: "" for any.
        Check each: the manager may have applied none of it."""
        ...

    def find(self, uid: str) -> Model | None:
        """All that it tells of one workitem; None when it has none of this uid any more."""
        ...

    def update(self, uid: str, changes: Dataset, lock: str) -> None:
        """N-SET with our Transaction UID."""
        ...

    def change_state(self, uid: str, state: str, lock: str) -> None:
        """N-ACTION 1; that it is in that state already is no refusal."""
        ...

    def subscribe(self, label: str, station: str) -> str:
        """To all workitems, where the manager can to those alone with this label and station: the address of the
        WebSocket by which it tells, as the manager answers it; "" by DIMSE."""
        ...
