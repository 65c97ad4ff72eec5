"""Well-known UIDs (PS3.6 annex A) under the names that the Standard gives them."""

from pydicom.uid import UID

from node import services

VERIFICATION = UID(services.VERIFICATION)
STORAGE_COMMITMENT_PUSH_MODEL = UID(services.STORAGE_COMMITMENT_PUSH_MODEL)
STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE = UID("1.2.840.10008.1.20.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
