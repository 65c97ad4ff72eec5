"""The outbox: result objects as files, written once, kept until confirmed and beyond.

    outbox/<job id>/<sop instance uid>.dcm

Both names are derived by us; nothing of the patient is in them. A rerun writes the same files again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import Dataset

from node.dicom.write import write_dicom
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
}
"""By SOP Class UID."""


def put_objects(
    outbox: Path, job_id: str, datasets: Sequence[Dataset], substitutes: Mapping[str, str] | None = None
) -> list[ResultObject]:
    """Writes and syncs `datasets`; returns them as rows for the ledger, in the same order.

    substitutes: SOP Instance UID -> that of the object which goes to a destination that refuses it.
    """
    objects = []
    (outbox / job_id).mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        uid = str(dataset.SOPInstanceUID)
        name = f"{job_id}/{uid}.dcm"
        write_dicom(dataset, outbox / name)
        sop_class = str(dataset.SOPClassUID)
        kind = KINDS.get(sop_class, Kind.CAPTURE)
        substitute, frame = (substitutes or {}).get(uid, ""), str(dataset.get("FrameOfReferenceUID", ""))
        series = str(dataset.SeriesInstanceUID)
        objects.append(ResultObject(uid, sop_class, str(dataset.Modality), name, kind, substitute, series, frame))
    return objects
