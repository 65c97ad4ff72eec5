"""The DICOM conformance statement (PS3.2): prose from conformance.md beside this file, tables from the code itself.

`python -m node.conformance` prints the whole of docs/conformance.md.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any

from pydicom.uid import UID, RLELossless

from node.dicom.uids import (
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MODALITY_WORKLIST_FIND,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from node.dicom.write import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.model.delivery import Kind
from node.model.workitem import EVENT_CLASS, PULL_CLASS, WATCH_CLASS
from node.sections import Listen, Node, Peer, Tls
from node.services import MESSAGE_SYNTAXES, ROLES, STORAGE_SYNTAXES, find_storage_classes

TEMPLATE = Path(__file__).with_suffix(".md")

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"

LIMITS = (
    ("processes", "listener processes on one port; every limit below holds for each of them"),
    ("max_associations", "associations at once"),
    ("max_associations_per_peer", "associations at once of one calling AE title"),
    ("max_half_open", "connections that have not asked for an association yet"),
    ("handshake_timeout", "how long such a connection may take (ARTIM), TLS handshake included"),
    ("idle_timeout", "an association that is silent for so long is aborted"),
    ("max_pdu", "longest P-DATA-TF PDU taken, in bytes: the Maximum Length of our A-ASSOCIATE-AC"),
    ("max_association_gb", "an association that brought more is aborted"),
    ("max_stores_per_second", "C-STORE requests of one peer; a faster one is slowed (0: no limit)"),
    ("inflate_ratio", "a deflated data set that grows more than so many times is refused"),
    ("min_free_mb", "free space below which nothing more is taken"),
    ("busy_jobs", "unfinished jobs from which on the node is busy"),
    ("when_busy", "then: accept, slow or refuse"),
)


def main() -> None:
    """Prints the statement."""
    sys.stdout.write(make_statement())


def make_statement() -> str:
    """The whole page, with the defaults of the configuration."""
    from pynetdicom import AE  # a third of a second, which only the statement needs

    return Template(TEMPLATE.read_text("utf-8")).substitute(
        class_uid=IMPLEMENTATION_CLASS_UID,
        version_name=IMPLEMENTATION_VERSION_NAME,
        ae_title=Node().ae_title,
        listen=Node().listen,
        tls_listen=Tls.model_fields["address"].default,
        max_pdu=Listen().max_pdu,
        requested_pdu=AE().maximum_pdu_size,
        unknown_callers=Listen().unknown_callers.value,
        confirm=Peer.model_fields["confirm"].default.value,
        retrieve=Peer.model_fields["retrieve"].default.value,
        count_by=Peer.model_fields["count_by"].default.value,
        class_count=len(find_storage_classes()),
        syntax_count=len(STORAGE_SYNTAXES),
        services=_table(("SOP class", "UID", "Role of this node", "Transfer syntaxes"), _list_services()),
        storage_classes=_table(("SOP class", "UID"), _list_uids(find_storage_classes())),
        transfer_syntaxes=_table(("Transfer syntax", "UID"), _list_uids(STORAGE_SYNTAXES)),
        proposed=_table(("SOP class", "UID", "Role of this node", "Transfer syntaxes", "When"), _list_proposed()),
        limits=_table(("`[listen]`", "Default", "Meaning"), _list_limits()),
    )


def name_uid(uid: str) -> str:
    """The name that PS3.6 gives `uid`; made from pynetdicom's keyword where its dictionary is newer than pydicom's."""
    name = UID(uid).name
    if name != uid:
        return name
    from pynetdicom import sop_class

    keyword = next((keyword for keyword, value in vars(sop_class).items() if value == uid), uid)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)


def _list_uids(uids: Iterable[str]) -> Iterable[Sequence[str]]:
    """By number, component by component, as PS3.6 lists them."""
    for uid in sorted(uids, key=lambda uid: [int(component) for component in uid.split(".")]):
        yield name_uid(uid), _code(uid)


def _list_services() -> Iterable[Sequence[str]]:
    syntaxes = _name_all(MESSAGE_SYNTAXES)
    for uid, roles in ROLES.items():
        yield name_uid(uid), _code(uid), ", ".join(roles), syntaxes


def _list_proposed() -> Iterable[Sequence[str]]:
    """As deliver.py, report.py, tell.py, count.py, worklist.py, notify.py, store.py, performing of node/outbound do."""
    from pynetdicom import build_context

    from node.outbound.outbox import KINDS
    from node.outbound.store import EXPLICIT, make_contexts

    commitment = build_context(STORAGE_COMMITMENT_PUSH_MODEL)
    kinds = [(uid, RLELossless if uid == LABEL_MAP else EXPLICIT) for uid in KINDS]
    rows: list[tuple[Any, str, str]] = [
        *((c, "SCU", _find_when(str(c.abstract_syntax), KINDS)) for c in make_contexts(kinds)),
        (commitment, "SCU", 'a result is due, `confirm = "commitment"`'),
        (build_context(STUDY_ROOT_FIND), "SCU", 'a result is due, `confirm = "query"`'),
        (build_context(STUDY_ROOT_FIND), "SCU", 'a study is counted, `count_by = "query"`'),
        (build_context(MODALITY_WORKLIST_FIND), "SCU", "a study arrives, `worklist = true`"),
        (build_context(STUDY_ROOT_FIND), "SCU", "a route gathers, `query = true`"),
        (build_context(STUDY_ROOT_MOVE), "SCU", 'a route gathers, `retrieve = "move"`'),
        (build_context(STUDY_ROOT_GET), "SCU", 'a route gathers, `retrieve = "get"`'),
        (build_context(INSTANCE_AVAILABILITY_NOTIFICATION), "SCU", "results are confirmed, `availability = true`"),
        (commitment, "SCP", "a report on what we hold is due"),
        (build_context(EVENT_CLASS), "SCP", "something becomes of a workitem that the peer subscribed to"),
        (build_context(PULL_CLASS), "SCU", "`perform.how` is not none, by DIMSE"),
        (build_context(WATCH_CLASS), "SCU", '`perform.how = "subscribe"`, by DIMSE'),
        (build_context(VERIFICATION), "SCU", "always"),
    ]
    for context, role, when in rows:
        uid = str(context.abstract_syntax)
        yield name_uid(uid), _code(uid), role, _name_all(context.transfer_syntax), when


def _find_when(sop_class: str, kinds: Mapping[str, Kind]) -> str:
    """When a peer is offered a result of this class."""
    if sop_class == LABEL_MAP:
        return 'a result is due, `segmentation = "labelmap"`'
    usual = kinds[sop_class] in Peer.model_fields["objects"].get_default(call_default_factory=True)
    return "a result is due" if usual else f'a result is due, `objects` has "{kinds[sop_class]}"'


def _list_limits() -> Iterable[Sequence[str]]:
    listen = Listen()
    for key, meaning in LIMITS:
        value = getattr(listen, key)
        shown = f"{value.total_seconds():.0f} s" if isinstance(value, timedelta) else str(value)
        yield _code(key), shown, meaning


def _name_all(uids: Iterable[str]) -> str:
    return ", ".join(name_uid(str(uid)) for uid in uids)


def _code(text: str) -> str:
    return f"`{text}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
