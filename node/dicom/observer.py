"""What opens the content tree of every report and key object selection: who observed, and in which language."""

from pydicom import Dataset

from node.dicom import codes, content
from node.dicom.authorship import Authorship
from node.dicom.content import HAS_CONCEPT_MODIFIER, HAS_OBSERVATION_CONTEXT


def describe_observer(author: Authorship) -> list[Dataset]:
    """Language (PS3.16 TID 1204), and the algorithm as observer (TID 1002, 1004)."""
    manifest = author.manifest
    observer = (
        (codes.OBSERVER_NAME, author.station),
        (codes.OBSERVER_MANUFACTURER, manifest.manufacturer),
        (codes.OBSERVER_MODEL, manifest.name),
    )
    return [
        content.coded(codes.LANGUAGE, codes.ENGLISH, HAS_CONCEPT_MODIFIER),
        content.coded(codes.OBSERVER_TYPE, codes.DEVICE, HAS_OBSERVATION_CONTEXT),
        content.uid_reference(codes.OBSERVER_UID, author.device_uid, HAS_OBSERVATION_CONTEXT),
        *(content.text(name, value, HAS_OBSERVATION_CONTEXT) for name, value in observer),
    ]
