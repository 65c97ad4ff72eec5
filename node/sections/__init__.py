"""The sections of the configuration: every key, what it means and its default."""

from node.sections.door import Busy, Callers, Listen, Node, Tls
from node.sections.peers import Confirm, CountBy, DeliverBy, Peer, Retrieve, SegmentationForm, WebAccess
from node.sections.routes import Completeness, Condition, Day, Gather, OnGiveUp, Route, Schedule, When
from node.sections.values import Address, AeTitle, Network, Origin, Plain, Section, SpokenUid, WebRoot
from node.sections.web import Web
from node.sections.work import Bundle, Deliver, Keep, Pipeline, Queue, Trust, Work

__all__ = [
    "Address",
    "AeTitle",
    "Bundle",
    "Busy",
    "Callers",
    "Completeness",
    "Condition",
    "Confirm",
    "CountBy",
    "Day",
    "Deliver",
    "DeliverBy",
    "Gather",
    "Keep",
    "Listen",
    "Network",
    "Node",
    "OnGiveUp",
    "Origin",
    "Peer",
    "Pipeline",
    "Plain",
    "Queue",
    "Retrieve",
    "Route",
    "Schedule",
    "Section",
    "SegmentationForm",
    "SpokenUid",
    "Tls",
    "Trust",
    "Web",
    "WebAccess",
    "WebRoot",
    "When",
    "Work",
]
