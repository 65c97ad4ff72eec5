"""The worklist as people see it: what waits, runs and ended, by state, priority, label and station, no patient."""

import re
import time
from dataclasses import asdict, replace
from html import unescape

import pytest
from pydicom import Dataset
from sqlalchemy import insert

from node.ledger import tables as t
from node.model.batch import Batch, Ended, Opened
from node.model.message import Message, MessageState, Subject
from node.web.pages import worklist as page
from node.worklist import Worklist
from tests.jobs import JOB
from tests.node.web.service import Service
from tests.node.web.test_stow import encode
from tests.series import make_series
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


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Workitems of a CT that the PACS sent and whose finding is critical, of an MR that a scanner sent, of a study that
    never came, and of one whose message was dropped."""
    peers = {"pacs": {"ae_title": "MAINPACS", "address": "127.0.0.1:1"}}
    with Service(tmp_path_factory.mktemp("hospital"), peers=peers) as one:
        worklist = Worklist(one.settings.node.home)
        studies = {"1.2.1": ("CT", "MAINPACS"), "1.2.2": ("MR", "SCANNER"), "1.2.4": ("CT", "SCANNER")}
        for number, uid in enumerate(("1.2.1", "1.2.2", "1.2.3", "1.2.4"), 1):
            worklist.create(make_workitem(StudyInstanceUID=f"{uid}.7"), time.time(), uid)
            if uid in studies:
                arrive(one, f"{uid}.7", *studies[uid], number)
        worklist.close()
        assert one.ask("GET", "/dicom-web/studies")[0] == 200  # which waits for the index
        yield one


def arrive(service, study, modality, caller, number):
    """A study with a job and, but of MR, a message that it be read sooner; of the fourth that was dropped."""
    slices = make_series((1, 4, 4), StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1", Modality=modality)
    assert service.store([encode(one) for one in slices])[0] == 200
    key = f"{study}/again"
    opened, ended = Opened(key, "listen-0", caller, 1.0), Ended(key, "released", 2.0)
    (held,) = service.ledger.find_instances(study)
    service.ledger.record(Batch([opened], [(held, key)], [ended]))
    closed = next(one for one in service.ledger.find_studies() if one.study_uid == study)
    job = replace(JOB, id=f"{number:032x}", study_uid=study)
    assert service.ledger.close_study(closed, 3.0, "complete", "", [job])
    if modality == "CT":
        state = MessageState.DROPPED if number == 4 else MessageState.SENT
        waiting = Message("ris", job.id, Subject.RESULT, MessageState.WAITING, 0, 0.0, 3.0)
        with service.ledger._engine.begin() as db:
            for message in (waiting, replace(waiting, subject=Subject.PRIORITY, state=state)):
                db.execute(insert(t.message).values(**asdict(message)))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "1234"),
        ("?modality=CT", "14"),
        ("?modality=mr", "2"),
        ("?site=pacs", "1"),
        ("?site=SCANNER", "24"),
        ("?critical=1", "1"),
        ("?critical=1&modality=MR", ""),
        ("?modality=CT&site=SCANNER&state=SCHEDULED", "4"),
    ],
)
def test_workitems_are_shown_by_what_is_known_of_their_study(hospital, query, found):
    assert find_shown(hospital, query) == found


def test_a_critical_study_says_so_with_its_modality_and_where_it_came_from(hospital):
    row = show(hospital)[1].split("<tr>")[2]
    assert ">1.2.1<" in row
    assert all(text in row for text in ("CRITICAL", "CT", "pacs"))
    assert '<a href="/studies/' in row
    assert show(hospital)[1].count(">CRITICAL<") == 1


def test_pages_follow_one_another_with_the_filters_that_were_set(hospital, monkeypatch):
    monkeypatch.setattr(page, "PAGE", 1)
    monkeypatch.setattr(page, "CHUNK", 2)
    query, seen = "?modality=CT", ""
    while query:
        body = show(hospital, query)[1]
        seen += find_shown(hospital, query)
        further = re.search(r'rel="next" href="([^"]+)"', body)
        query = unescape(further[1]) if further else ""
        assert "modality=CT" in (query or "modality=CT")
    assert seen == "14"
    assert show(hospital, "?at=x")[0] == 400


def test_what_is_looked_at_for_one_page_is_bounded_and_the_next_goes_on(hospital, monkeypatch):
    monkeypatch.setattr(page, "MOST", 2)
    body = show(hospital, "?site=nobody")[1]
    assert "No workitem is like that" in body
    assert "at=2" in body


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
