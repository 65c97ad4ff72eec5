"""The outbox: result objects as files, written once, kept until confirmed and beyond.

    outbox/<job id>/<sop instance uid>.dcm

Both names are derived by us; nothing of the patient is in them. A rerun writes the same files again.
"""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset

from node.dicom.write import write_dicom
from node.model.delivery import ResultObject


def put_objects(outbox: Path, job_id: str, datasets: Sequence[Dataset]) -> list[ResultObject]:
    """Writes and syncs `datasets`; returns them as rows for the ledger, in the same order."""
    objects = []
    (outbox / job_id).mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        uid = str(dataset.SOPInstanceUID)
        name = f"{job_id}/{uid}.dcm"
        write_dicom(dataset, outbox / name)
        objects.append(ResultObject(uid, str(dataset.SOPClassUID), str(dataset.Modality), name))
    return objects
