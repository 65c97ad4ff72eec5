"""The outbox: result objects as files, written once, kept until confirmed and beyond.

    outbox/<job id>/<sop instance uid>.dcm

Both names are derived by us; nothing of the patient is in them. A rerun writes the same files again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from pydicom import Dataset

from node.dicom.write import Draft, draft_dicom
from node.durable import sync_directory
from node.model.delivery import Kind, ResultObject

KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": Kind.SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7": Kind.SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.88.34": Kind.REPORT,
    "1.2.840.10008.5.1.4.1.1.11.1": Kind.PRESENTATION,
    "1.2.840.10008.5.1.4.1.1.88.59": Kind.KEY_OBJECTS,
    "1.2.840.10008.5.1.4.1.1.7": Kind.CAPTURE,
    "1.2.840.10008.5.1.4.1.1.30": Kind.MAP,
    "1.2.840.10008.5.1.4.1.1.481.3": Kind.STRUCTURES,
    "1.2.840.10008.5.1.4.1.1.104.1": Kind.DOCUMENT,
    "1.2.840.10008.5.1.4.1.1.66.1": Kind.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.66.3": Kind.REGISTRATION,
}
"""By SOP Class UID."""


class Shelf:
    """Context manager: the objects of one job on their way into the outbox. Those that were begun are synced while
    others are still made and checked; none is seen there before all are kept, and what was not is gone."""

    def __init__(self, outbox: Path, job_id: str) -> None:
        self._outbox, self._job_id = outbox, job_id
        self._folder = outbox / job_id
        self._begun: dict[str, tuple[Draft, Future[None]]] = {}
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    def __enter__(self) -> "Shelf":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._syncer.shutdown(cancel_futures=True)
        for draft, _ in self._begun.values():
            draft.drop()

    def begin(self, dataset: Dataset) -> None:
        """Writes `dataset` as it is by now, and leaves the sync to a thread of its own: that waits for the disk alone.
        One that also wrote would fight for the interpreter with the thread that goes on encoding, at every frame.
        Raises OSError."""
        draft = self._draft(dataset)
        draft.write()
        self._begun[str(dataset.SOPInstanceUID)] = draft, self._syncer.submit(draft.sync)

    def _draft(self, dataset: Dataset) -> Draft:
        return draft_dicom(dataset, self._folder / f"{dataset.SOPInstanceUID}.dcm")

    def keep(self, datasets: Sequence[Dataset], substitutes: Mapping[str, str] | None = None) -> list[ResultObject]:
        """`datasets` as whole, synced files; returns them as rows for the ledger, in the same order. Raises OSError.

        substitutes: SOP Instance UID -> that of the object which goes to a destination that refuses it.
        """
        for dataset in datasets:
            if str(dataset.SOPInstanceUID) not in self._begun:
                draft = self._draft(dataset)
                draft.write()
                self._begun[str(dataset.SOPInstanceUID)] = draft, self._syncer.submit(draft.sync)
        uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
        for _, synced in self._begun.values():
            synced.result()
        for uid in uids:
            self._begun.pop(uid)[0].keep()
        sync_directory(self._folder)
        return [
            self._describe(dataset, (substitutes or {}).get(str(dataset.SOPInstanceUID), "")) for dataset in datasets
        ]

    def _describe(self, dataset: Dataset, substitute: str) -> ResultObject:
        uid, sop_class = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID)
        return ResultObject(
            uid,
            sop_class,
            str(dataset.Modality),
            f"{self._job_id}/{uid}.dcm",
            KINDS.get(sop_class, Kind.CAPTURE),
            substitute,
            str(dataset.SeriesInstanceUID),
            str(dataset.get("FrameOfReferenceUID", "")),
        )


def put_objects(
    outbox: Path, job_id: str, datasets: Sequence[Dataset], substitutes: Mapping[str, str] | None = None
) -> list[ResultObject]:
    """Writes and syncs `datasets`, see Shelf.keep."""
    with Shelf(outbox, job_id) as shelf:
        return shelf.keep(datasets, substitutes)
