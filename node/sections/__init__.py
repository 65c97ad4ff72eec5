"""The sections of the configuration: every key, what it means and its default."""

from node.sections.client_tls import ClientTls
from node.sections.door import Busy, Callers, Listen, Node, Tls
from node.sections.messages import (
    Critical,
    Hl7,
    Hl7Tls,
    MessageKind,
    OrderUpdate,
    Receiver,
    TellAt,
    Template,
)
from node.sections.oidc import Oidc
from node.sections.orders import Orders
from node.sections.peers import Confirm, CountBy, DeliverBy, Peer, Retrieve, SegmentationForm, WebAccess
from node.sections.perform import Perform, PerformBy, PerformHow
from node.sections.routes import Completeness, Condition, Day, Gather, OnGiveUp, Route, Schedule, When
from node.sections.values import Address, AeTitle, Network, Origin, Plain, Section, SpokenUid, WebRoot
from node.sections.web import Web
from node.sections.webhooks import HookEvent, HookName, Webhook, is_loopback
from node.sections.work import Bundle, Deliver, Keep, Pipeline, Queue, Trust, Work

__all__ = [
    "Address",
    "AeTitle",
    "Bundle",
    "Busy",
    "Callers",
    "ClientTls",
    "Completeness",
    "Condition",
    "Confirm",
    "CountBy",
    "Critical",
    "Day",
    "Deliver",
    "DeliverBy",
    "Gather",
    "Hl7",
    "Hl7Tls",
    "HookEvent",
    "HookName",
    "Keep",
    "Listen",
    "MessageKind",
    "Network",
    "Node",
    "Oidc",
    "OnGiveUp",
    "OrderUpdate",
    "Orders",
    "Origin",
    "Peer",
    "Perform",
    "PerformBy",
    "PerformHow",
    "Pipeline",
    "Plain",
    "Queue",
    "Receiver",
    "Retrieve",
    "Route",
    "Schedule",
    "Section",
    "SegmentationForm",
    "SpokenUid",
    "TellAt",
    "Template",
    "Tls",
    "Trust",
    "Web",
    "WebAccess",
    "WebRoot",
    "Webhook",
    "When",
    "Work",
    "is_loopback",
]
