"""Workitems as a department would push them, and what their performer says at the end."""

from pydicom import Dataset


def make_code(value, scheme="99TEST", meaning="something"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def make_workitem(**changes):
    """A request to create one; None leaves an attribute out."""
    request = Dataset()
    request.ProcedureStepState = "SCHEDULED"
    request.ScheduledProcedureStepPriority = "MEDIUM"
    request.ProcedureStepLabel = "read a chest"
    request.WorklistLabel = "AI"
    request.ScheduledProcedureStepStartDateTime = "20261123080000"
    request.InputReadinessState = "READY"
    request.TransactionUID = None
    request.ScheduledProcessingParametersSequence = []
    request.ScheduledStationNameCodeSequence = []
    request.ScheduledStationClassCodeSequence = []
    request.ScheduledStationGeographicLocationCodeSequence = []
    request.ScheduledWorkitemCodeSequence = [make_code("110004", "DCM", "Computer Aided Detection")]
    request.InputInformationSequence = []
    request.StudyInstanceUID = "1.2.3"
    request.PatientName = "Doe^Jane"
    request.PatientID = "P1"
    request.PatientBirthDate = "19700101"
    request.PatientSex = "F"
    request.ReferencedRequestSequence = []
    request.ProcedureStepProgressInformationSequence = []
    request.UnifiedProcedureStepPerformedProcedureSequence = []
    for keyword, value in changes.items():
        if value is None:
            del request[keyword]
        else:
            setattr(request, keyword, value)
    return request


def make_performed(*left_out):
    """What N-SET brings before COMPLETED."""
    performed = Dataset()
    performed.PerformedStationNameCodeSequence = [make_code("ROOM1")]
    performed.PerformedProcedureStepStartDateTime = "20261123080100"
    performed.PerformedProcedureStepEndDateTime = "20261123080200"
    performed.PerformedWorkitemCodeSequence = [make_code("110004", "DCM", "Computer Aided Detection")]
    performed.OutputInformationSequence = []
    for keyword in left_out:
        del performed[keyword]
    changes = Dataset()
    changes.UnifiedProcedureStepPerformedProcedureSequence = [performed]
    return changes


def make_progress(percent, text="segmenting"):
    item = Dataset()
    item.ProcedureStepProgress, item.ProcedureStepProgressDescription = percent, text
    changes = Dataset()
    changes.ProcedureStepProgressInformationSequence = [item]
    return changes
