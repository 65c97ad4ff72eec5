"""The worklist as people see it: what waits, runs and ended, by state, priority, label and station, no patient."""

import time

import pytest
from pydicom import Dataset

from node.worklist import Worklist
from tests.node.web.service import Service
from tests.workitems import make_code, make_progress, make_workitem

LOCK = "2.25.11"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("page")) as one:
        worklist = Worklist(one.settings.node.home)
        now = time.time()
        worklist.create(make_workitem(ScheduledProcedureStepPriority="HIGH", WorklistLabel="CT"), now, "1.2.1")
        station = [make_code("ROOM1")]
        worklist.create(make_workitem(ScheduledStationNameCodeSequence=station, InputReadinessState="INCOMPLETE"), now,
                        "1.2.2")  # fmt: skip
        worklist.create(make_workitem(), now, "1.2.3")
        worklist.change_state("1.2.3", "IN PROGRESS", LOCK, now)
        worklist.update("1.2.3", make_progress("42", "<b>segments</b>"), now, LOCK)
        worklist.create(make_workitem(ScheduledProcedureStepPriority="LOW"), now, "1.2.4")
        why = Dataset()
        why.ReasonForCancellation = "not needed"
        worklist.request_cancel("1.2.4", why, "WARD", now)
        worklist.close()
        yield one


def show(service, query=""):
    status, _, body = service.ask("GET", f"/worklist{query}")
    return status, body.decode()


def find_shown(service, query):
    _, body = show(service, query)
    return "".join(uid[-1] for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4") if f">{uid}<" in body)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "1234"),
        ("?state=SCHEDULED", "12"),
        ("?state=IN%20PROGRESS", "3"),
        ("?priority=LOW", "4"),
        ("?label=CT", "1"),
        ("?station=ROOM1", "2"),
        ("?station=ROOM1&state=CANCELED", ""),
    ],
)
def test_workitems_are_shown_by_what_is_asked(service, query, found):
    assert find_shown(service, query) == found


def test_progress_readiness_and_reasons_are_shown_and_nothing_of_the_patient(service):
    _, body = show(service)
    assert body.index(">1.2.1<") < body.index(">1.2.2<") < body.index(">1.2.4<")
    for text in ("42 %", "&lt;b&gt;segments&lt;/b&gt;", "inputs incomplete", "not needed", "Computer Aided Detection"):
        assert text in body
    for text in ("Doe", "P1", "1970"):
        assert text not in body


def test_the_live_part_comes_alone_and_nonsense_is_refused(service):
    assert "<html" not in show(service, "?fragment=1")[1]
    assert show(service, "?state=NONSENSE")[0] == 400
    assert show(service, "?priority=STAT")[0] == 400
    assert 'href="/worklist" aria-current="page"' in show(service)[1]
