"""What subscribers are told: event information by PS3.4 Table CC.2.4-1.

In:  a workitem before and after.   Out: (Event Type ID, Dataset) of each event, in order.
"""

from collections.abc import Iterator

from pydicom import Dataset

from node.model.workitem import Report

ASSIGNMENT = ("ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence")
WHY = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence", "ContactURI", "ContactDisplayName")
TOLD = WHY[:2]

Event = tuple[Report, Dataset]


def report_state(workitem: Dataset, state: str = "") -> Event:
    """Its state and readiness; state: another than it is in, on the way there."""
    information = Dataset()
    information.ProcedureStepState = state or workitem.ProcedureStepState
    information.InputReadinessState = workitem.InputReadinessState
    for item in workitem.get("ProcedureStepProgressInformationSequence") or ():
        _copy(item, information, TOLD)
    return Report.STATE, information


def report_cancel_request(request: Dataset, requester: str) -> Event:
    """That `requester` (an AE title) wants it canceled, and why."""
    information = Dataset()
    information.RequestingAE = requester
    _copy(request, information, WHY)
    return Report.CANCEL_REQUESTED, information


def report_new(workitem: Dataset) -> Iterator[Event]:
    """Of one that was just created: that it is SCHEDULED, and for whom."""
    yield report_state(workitem)
    yield from _report_assignment(workitem)


def report_changes(before: Dataset, after: Dataset) -> Iterator[Event]:
    """Of what N-SET changed (PS3.4 CC.2.4.3)."""
    if before.InputReadinessState != after.InputReadinessState:
        yield report_state(after)
    if any(before.get(keyword) != after.get(keyword) for keyword in ASSIGNMENT):
        yield from _report_assignment(after)
    if before.get(PROGRESS) != after.get(PROGRESS) and after.get(PROGRESS):
        information = Dataset()
        _copy(after, information, (PROGRESS,))
        yield Report.PROGRESS, information


PROGRESS = "ProcedureStepProgressInformationSequence"


def report_restart() -> Event:
    """The worklist is back, with its workitems and subscriptions."""
    information = Dataset()
    information.SCPStatus = "RESTARTED"
    information.SubscriptionListStatus = information.UnifiedProcedureStepListStatus = "WARM START"
    return Report.SCP_STATUS, information


def _report_assignment(workitem: Dataset) -> Iterator[Event]:
    information = Dataset()
    _copy(workitem, information, ASSIGNMENT[:1])
    for performer in workitem.get(ASSIGNMENT[1]) or ():
        _copy(performer, information, ("HumanPerformerCodeSequence", "HumanPerformerOrganization"))
    if len(information):
        yield Report.ASSIGNED, information


def _copy(source: Dataset, target: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if keyword in source and not source[keyword].is_empty:
            target[keyword] = source[keyword]
