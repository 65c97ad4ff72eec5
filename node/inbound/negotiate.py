"""An association is asked for: pynetdicom reads the request and weighs contexts and roles, we decide (PS3.8 7.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor

from node.dicom.write import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.errors import AssociationRejected, ProtocolViolation
from node.model.workitem import EVENT_CLASS
from node.security.access import PROVIDER_ACSE, REJECTED_PERMANENT, SERVICE_USER, Admission
from node.services import ROLES, WORKITEM_CLASSES, is_storage

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
UNSUPPORTED_CONTEXT_NAME, UNSUPPORTED_PROTOCOL = 2, 2
USER_REJECTION = 1

REMEMBERED = 16
"""So many requests are remembered with our answer: who sends by many associations says the same each time, and weighing
128 contexts costs more than taking an image."""

USUAL_REQUEST = 1 << 14
"""Bytes of the longest request that is remembered."""

Roles = dict[UID, tuple[bool | None, bool | None]]
"""SOP class -> (SCU, SCP) as the caller proposes them."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context. is_storage: it brings instances."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    is_storage: bool


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """An A-ASSOCIATE-RQ. size: of its PDU. longest: the longest P-DATA that the caller takes, 0 for any."""

    primitive: A_ASSOCIATE
    size: int
    calling: str
    called: str
    longest: int

    @property
    def wants_storage(self) -> bool:
        """True when a storage class is among what is proposed."""
        return any(is_storage(str(c.abstract_syntax)) for c in self._proposed)

    @property
    def _proposed(self) -> list[PresentationContext]:
        return list(self.primitive.presentation_context_definition_list)


def read_request(pdu: bytes) -> Request:
    """The request in an A-ASSOCIATE-RQ PDU. Raises ProtocolViolation when it cannot be read, AssociationRejected when
    it speaks another protocol."""
    return _read_again(pdu) if len(pdu) <= USUAL_REQUEST else _read(pdu)


def _read(pdu: bytes) -> Request:
    try:
        decoded = A_ASSOCIATE_RQ()
        decoded.decode(pdu)
        primitive = decoded.to_primitive()
        longest = int(primitive.maximum_length_received or 0)
        calling, called = str(primitive.calling_ae_title).strip(), str(primitive.called_ae_title).strip()
        version, name = int(decoded.protocol_version), str(primitive.application_context_name)
    except Exception as error:  # noqa: BLE001
        # pynetdicom's decoder raises whatever the bytes make it stumble over.
        raise ProtocolViolation(f"an A-ASSOCIATE-RQ that cannot be read ({type(error).__name__})") from None
    if not version & 1:
        text = f"protocol version {version:#06x} is not ours"
        raise AssociationRejected(REJECTED_PERMANENT, PROVIDER_ACSE, UNSUPPORTED_PROTOCOL, text)
    if name != APPLICATION_CONTEXT:
        text = "the application context is not DICOM's"
        raise AssociationRejected(REJECTED_PERMANENT, SERVICE_USER, UNSUPPORTED_CONTEXT_NAME, text)
    return Request(primitive, len(pdu), calling, called, longest)


_read_again = lru_cache(REMEMBERED)(_read)


def accept(request: Request, admission: Admission, max_pdu: int) -> tuple[bytes, dict[int, Context]]:
    """The A-ASSOCIATE-AC to send, and what was agreed by context id.

    Of the transfer syntaxes of a context the first that the caller names and may use is taken: callers put first what
    needs no conversion. Raises ProtocolViolation when the answer cannot be made.
    """
    weigh = _accept_again if request.size <= USUAL_REQUEST else _accept
    return weigh(request, admission, max_pdu)


def _accept(request: Request, admission: Admission, max_pdu: int) -> tuple[bytes, dict[int, Context]]:
    primitive = request.primitive
    try:
        roles = _find_roles(primitive)
        results, replies = [], {}
        for proposed in primitive.presentation_context_definition_list:
            result, reply = _weigh(proposed, admission, roles)
            results.append(result)
            replies.update({str(role.sop_class_uid): role for role in reply})
        answer = A_ASSOCIATE()
        answer.application_context_name = APPLICATION_CONTEXT
        answer.calling_ae_title, answer.called_ae_title = primitive.calling_ae_title, primitive.called_ae_title
        answer.result = 0x00
        answer.presentation_context_definition_results_list = results
        answer.user_information = [*_introduce(max_pdu), *replies.values()]
        pdu = A_ASSOCIATE_AC()
        pdu.from_primitive(answer)
        return pdu.encode(), {context.id: context for context in _to_contexts(results)}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ProtocolViolation(f"an A-ASSOCIATE-RQ that makes no sense ({type(error).__name__})") from None


_accept_again = lru_cache(REMEMBERED)(_accept)


def _weigh(
    proposed: PresentationContext, admission: Admission, roles: Roles
) -> tuple[PresentationContext, list[SCP_SCU_RoleSelectionNegotiation]]:
    abstract = str(proposed.abstract_syntax)
    allowed = frozenset(admission.find_syntaxes(abstract))
    in_order = [str(syntax) for syntax in proposed.transfer_syntax if str(syntax) in allowed]
    ours = []
    if allowed:
        # With no syntax in common any one of ours makes pynetdicom say so.
        context = build_context(abstract, in_order or sorted(allowed)[:1])
        context.scu_role = context.scp_role = True if "SCU" in ROLES.get(abstract, ()) else None
        ours = [context]
    elif is_storage(abstract) or abstract in {*WORKITEM_CLASSES, EVENT_CLASS}:
        return _refuse(proposed), []
    results, replies = negotiate_as_acceptor([proposed], ours, roles)
    return results[0], replies


def _refuse(proposed: PresentationContext) -> PresentationContext:
    """The class is spoken, but not with this caller: user rejection (PS3.8 9.3.3.2)."""
    refused = PresentationContext()
    refused.context_id, refused.abstract_syntax = proposed.context_id, proposed.abstract_syntax
    refused.transfer_syntax = [proposed.transfer_syntax[0]]
    refused.result = USER_REJECTION
    return refused


def _find_roles(primitive: A_ASSOCIATE) -> Roles:
    items = [item for item in primitive.user_information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    return {UID(str(item.sop_class_uid)): (item.scu_role, item.scp_role) for item in items}


def _introduce(
    max_pdu: int,
) -> tuple[MaximumLengthNotification, ImplementationClassUIDNotification, ImplementationVersionNameNotification]:
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return length, implementation, version


def _to_contexts(results: Iterable[PresentationContext]) -> Iterable[Context]:
    for result in results:
        if result.result == 0x00 and result.context_id is not None:
            abstract = str(result.abstract_syntax)
            syntax = str(result.transfer_syntax[0])
            yield Context(result.context_id, abstract, syntax, is_storage(abstract))
