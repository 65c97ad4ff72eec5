"""The whole way of two studies, from the order to the result in every system; only one of them is to be read sooner."""

import shutil

import pytest

from node.model.job import State
from node.model.message import Subject
from tests.flow.story import STUDIES, Story

ORDER = ("requested", "in-progress", "completed")
KINDS = ("SCHEDULED", "IN PROGRESS", "COMPLETED")


def find(story, who, number):
    told = sorted(story.entries, key=lambda entry: entry.at)
    return [entry.text for entry in told if (entry.who, entry.number) == (who, number)]


def find_outputs(workitem):
    (performed,) = workitem.UnifiedProcedureStepPerformedProcedureSequence
    return {
        one.ReferencedSOPInstanceUID for o in performed.OutputInformationSequence for one in o.ReferencedSOPSequence
    }


@pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed (Debian package dcmtk)")
def test_from_the_order_to_the_result_and_the_priority_of_the_study_with_the_finding_alone(tmp_path):
    with Story(tmp_path) as story:
        story.run()
        for number in STUDIES:
            job = story.find_job(number)
            assert job.state == State.CONFIRMED
            worklist = find(story, "the worklist", number)
            assert [text for text in worklist if text in KINDS] == list(KINDS)
            assert worklist[worklist.index("COMPLETED") - 1] == "100 %: done"
            outputs = find_outputs(story.read_workitem(number))
            assert outputs == {one.sop_instance_uid for one in story.house.ledger.find_objects(job.id)}
            assert outputs <= set(story.house.pacs.held)
            assert len(find(story, "the PACS", number)) == len(outputs)
            tasks = [text for text in find(story, "the FHIR server", number) if "Task" in text]
            statuses = [text.split()[2] for text in tasks]
            assert len(tasks) > 1 and tasks[-1] == "Task is completed (CONFIRMED)"
            assert statuses == sorted(statuses, key=ORDER.index)
            assert "DiagnosticReport is preliminary" in find(story, "the FHIR server", number)
        assert any("40 %: run threshold" in find(story, "the worklist", number) for number in STUDIES)
        raised = "is told to read it sooner: OMI^O23, priority S^Stat^HL70485"
        first, second = (find(story, "the RIS", number)[1:] for number in STUDIES)
        assert sorted(first) == ["is told the result (ORU^R01)", raised]
        assert second == ["is told the result (ORU^R01)"]
        subjects = [one.subject for one in story.house.ledger.find_messages(story.find_job("A-2").id)]
        assert Subject.PRIORITY not in subjects
        for message in story.ris.messages:
            number = str(message.segment("OBR")[18])
            placed = [f"PL-{number}", f"FI-{number}", "CTB^CT bones^L"]
            assert [str(message.segment("OBR")[n]) for n in (2, 3, 4)] == placed
        assert len(list(story.to_markdown())) == len(story.entries) + 2
