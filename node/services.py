"""What the door speaks: abstract syntaxes, their transfer syntaxes and our roles in them (PS3.4 annexes A, B, F, J, R).

The conformance statement is made from this page.
"""

from functools import cache

from pydicom.uid import UID, AllTransferSyntaxes

from node.model.workitem import EVENT_CLASS, PULL_CLASS, PUSH_CLASS, QUERY_CLASS, WATCH_CLASS

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL = "1.2.840.10008.1.20.1"
MODALITY_PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
INSTANCE_AVAILABILITY_NOTIFICATION = "1.2.840.10008.5.1.4.33"

NEWER_SYNTAXES = (
    "1.2.840.10008.1.2.4.94",  # JPIP Referenced
    "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
    "1.2.840.10008.1.2.4.111",  # JPEG XL JPEG Recompression
    "1.2.840.10008.1.2.4.112",  # JPEG XL
    "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
)
STORAGE_SYNTAXES = tuple(dict.fromkeys([*(str(syntax) for syntax in AllTransferSyntaxes), *NEWER_SYNTAXES]))
"""Every transfer syntax of the standard: bytes are kept as they come, so none needs a decoder here."""

MESSAGE_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""For what is read at once: Implicit VR Little Endian, Explicit VR Little and Big Endian."""

ROLES = {
    VERIFICATION: ("SCP",),
    STORAGE_COMMITMENT_PUSH_MODEL: ("SCP", "SCU"),
    INSTANCE_AVAILABILITY_NOTIFICATION: ("SCP",),
    MODALITY_PERFORMED_PROCEDURE_STEP: ("SCP",),
    PUSH_CLASS: ("SCP",),
    WATCH_CLASS: ("SCP",),
    PULL_CLASS: ("SCP",),
    QUERY_CLASS: ("SCP",),
    EVENT_CLASS: ("SCU",),
}
"""Verification; storage commitment as SCP for what we hold, as SCU for the reports to our own requests; notifications
of what a PACS has; what a modality made; the worklist of Unified Procedure Steps; events of another's, as SCU."""

WORKITEM_CLASSES = frozenset({PUSH_CLASS, WATCH_CLASS, PULL_CLASS, QUERY_CLASS})
"""For peers that may see and change the worklist, which names patients."""


@cache
def find_storage_classes() -> frozenset[str]:
    """Every storage class of the standard; we are SCP of them all."""
    from pynetdicom import AllStoragePresentationContexts  # a third of a second, which only the door needs

    return frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)


def is_storage(abstract_syntax: str) -> bool:
    """True for a storage class."""
    return abstract_syntax in find_storage_classes()


def find_syntaxes(abstract_syntax: str) -> tuple[str, ...]:
    """The transfer syntaxes that we take for `abstract_syntax`; none when we do not speak it."""
    if abstract_syntax in ROLES:
        return MESSAGE_SYNTAXES
    return STORAGE_SYNTAXES if is_storage(abstract_syntax) else ()


def find_uid(name: str) -> str | None:
    """The UID of a SOP class or transfer syntax given as UID, keyword or name ("CTImageStorage", "CT Image Storage");
    None when it is nothing that the door speaks."""
    return _name_all().get(name)


@cache
def _name_all() -> dict[str, str]:
    names = {}
    for uid in (*find_storage_classes(), *ROLES, *STORAGE_SYNTAXES):
        for name in (uid, UID(uid).name, UID(uid).keyword):
            names[name] = uid
    names.pop("", None)
    return names
