"""Whatever dies or falls silent between a manager and us: no workitem is lost, none is done twice, none is hung up."""

import os
import signal
import time
from contextlib import contextmanager
from threading import Barrier, Thread

import pytest
from pydicom import Dataset

from node.model.job import State
from node.model.workitem import StepState
from node.outbound.performing.web import WebBoard
from node.worklist.claims import ClaimStage
from tests.managers import OurWeb, PlainDoor, PlainWeb, make_task, managing
from tests.node.outbound.theatre import Theatre
from tests.ports import free_port

UID = "1.2.826.5.1"
WORKLIST_VERBS = ("add_claim", "put_claim", "create", "put_link", "update", "change_state", "put_bookmark")
BOARD_VERBS = ("search", "find", "update", "change_state")


@pytest.fixture
def web(tmp_path):
    with managing(PlainWeb, tmp_path) as manager:
        yield manager


@pytest.fixture
def theatre(tmp_path, web):
    one = Theatre(tmp_path / "home", web, free_port())
    yield one
    one.close()


def perform(theatre):
    """Everything that becomes of a workitem whose images are here."""
    theatre.tick()
    for job in theatre.ledger.find_jobs(states=[State.QUEUED]):
        theatre.move(job.id, State.CONFIRMED)
    theatre.tick()


def perform_until_killed(home, manager, step):
    """In a child: killed before the n-th write or request, or after the manager has answered it."""
    theatre, left = Theatre(home, manager, 1), [step]

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def mortal(verb, *, after=False):
        def call(*args, **kwargs):
            count()
            answer = verb(*args, **kwargs)
            if after:
                count()
            return answer

        return call

    for name in WORKLIST_VERBS:
        setattr(theatre.worklist, name, mortal(getattr(theatre.worklist, name)))
    theatre.ledger.add_job = mortal(theatre.ledger.add_job)
    for name in BOARD_VERBS:
        setattr(WebBoard, name, mortal(getattr(WebBoard, name), after=name != "search"))
    for _ in range(3):
        perform(theatre)


def kill_at(home, manager, step):
    """True when the child was killed, False when it came to the end."""
    child = os.fork()
    if child == 0:
        try:
            perform_until_killed(home, manager, step)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_before_or_after_any_step_it_goes_on_and_nothing_is_lost_or_doubled(tmp_path):
    killed = 0
    for step in range(1, 60, 3):
        home = tmp_path / str(step)
        with managing(PlainWeb, home) as manager:
            theatre = Theatre(home, manager, 1)
            theatre.receive()
            theatre.finish_study()
            manager.create(UID)
            theatre.close()
            if not kill_at(home, manager, step):
                break
            killed += 1
            theatre.open()
            theatre.until(lambda t=theatre, m=manager: perform(t) or m.read(UID).ProcedureStepState == "COMPLETED")
            assert len(manager.claims[UID]) == 1, step
            assert len(theatre.ledger.find_jobs()) == 1, step
            assert len(theatre.items()) == 1, step
            assert [claim.stage for claim in theatre.worklist.find_claims("manager")] == [ClaimStage.OVER]
            (performed,) = manager.read(UID).UnifiedProcedureStepPerformedProcedureSequence
            assert len(performed.OutputInformationSequence) == 2
            theatre.close()
    assert killed >= 6


@pytest.mark.parametrize("kind", [OurWeb, PlainDoor], ids=["OurWeb", "PlainDoor"])
def test_two_performers_race_for_twenty_workitems_and_none_is_claimed_twice(kind, tmp_path):
    with managing(kind, tmp_path) as manager:
        uids = [f"1.2.826.7.{n}" for n in range(20)]
        for uid in uids:
            manager.create(uid)
        rivals = [Theatre(tmp_path / name, manager, free_port(), name, at_once=20) for name in ("LEFT", "RIGHT")]
        both = Barrier(2)
        threads = [Thread(target=take_all, args=(rival, both)) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        held = [{c.uid for c in rival.worklist.find_claims("manager")} for rival in rivals]
        assert held[0] | held[1] == set(uids)
        assert held[0] & held[1] == set()
        assert all(len(claims) == 1 for claims in getattr(manager, "claims", {}).values())
        assert all(manager.read(uid).ProcedureStepState == "IN PROGRESS" for uid in uids)
        for rival in rivals:
            assert all(claim.stage == ClaimStage.HELD for claim in rival.worklist.find_claims("manager"))
            assert len(rival.items()) == len(rival.worklist.find_claims("manager"))
            rival.close()


def take_all(rival, both):
    """What it saw it asks for once the other has seen it too."""
    open_board = rival.performer._open_board

    @contextmanager
    def open_late():
        with open_board() as board:
            search = board.search
            board.search = lambda *keys: (search(*keys), both.wait(30))[0]
            yield board

    rival.performer._open_board = open_late
    rival.performer.tick(time.time())
    rival.performer._open_board = open_board
    rival.performer.tick(time.time())


def test_a_claim_whose_answer_is_lost_is_ours(web, theatre, monkeypatch):
    """The manager granted it; that it takes our Transaction UID tells us."""
    theatre.receive()
    theatre.finish_study()
    web.create(UID)
    answer, lost = web.answer, []

    def lose(method, path, body):
        said = answer(method, path, body)
        if method == "PUT" and not lost:
            lost.append(path)
            return 503, {}, []
        return said

    monkeypatch.setattr(web, "answer", lose)
    theatre.until(theatre.ledger.find_jobs)
    assert lost
    assert len(web.claims[UID]) == 1


def test_a_claim_that_another_got_first_is_let_go(web, theatre, monkeypatch):
    web.create(UID)
    answer = web.answer

    def be_late(method, path, body):
        if method == "PUT":
            web.change(UID, "IN PROGRESS", "2.25.99")
        return answer(method, path, body)

    monkeypatch.setattr(web, "answer", be_late)
    theatre.tick()
    assert web.claims[UID] == ["2.25.99"]
    assert theatre.worklist.find_claims("manager") == []
    assert theatre.items() == []
    assert [verb for verb, *_ in web.log].count("set") == 0


def start_unheard(web, theatre, monkeypatch):
    """The job of a workitem begins while its manager is away: the job, how the manager answers, what it was asked."""
    theatre.receive()
    theatre.finish_study()
    web.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    answer, asked = web.answer, []
    monkeypatch.setattr(web, "answer", lambda *request: (asked.append(request), (503, {}, []))[1])
    (job,) = theatre.ledger.find_jobs()
    theatre.move(job.id, State.CLAIMED)
    return job, answer, asked


def test_progress_that_was_not_answered_is_told_again(web, theatre, monkeypatch):
    _, answer, asked = start_unheard(web, theatre, monkeypatch)
    theatre.performer._look_at = theatre.performer._search_at = float("inf")
    theatre.until(lambda: [one for one in asked if one[0] == "POST"])
    monkeypatch.setattr(web, "answer", answer)
    theatre.until(lambda: web.read(UID).ProcedureStepProgressInformationSequence)


def test_a_manager_that_is_away_is_told_everything_when_it_is_back(web, theatre, monkeypatch):
    job, answer, asked = start_unheard(web, theatre, monkeypatch)
    theatre.move(job.id, State.CONFIRMED)
    theatre.mirror.tick(time.time())
    for n in range(200):
        theatre.performer.tick(time.time() + n * 0.001)
    assert 1 <= len(asked) <= 40, "it backs off"
    theatre.worklist.delete_final(time.time() + 90 * 86400)
    monkeypatch.setattr(web, "answer", answer)
    theatre.until(lambda: web.read(UID).ProcedureStepState == "COMPLETED")
    assert len(web.read(UID).UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence) == 2
    assert theatre.worklist.delete_final(time.time() + 90 * 86400) == 1
    assert theatre.worklist.find_claims("manager") == []


@pytest.mark.parametrize("how", ["canceled", "deleted", "claimed by another"])
def test_what_the_manager_ends_itself_ends_here(web, theatre, how):
    theatre.receive()
    theatre.finish_study()
    web.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    if how == "deleted":
        del web.items[UID]
    elif how == "canceled":
        web.items[UID].ProcedureStepState = "CANCELED"
    else:  # it forgot our claim, and gave it away
        web.items[UID].ProcedureStepState, web.locks[UID] = "SCHEDULED", ""
        theatre.performer._look_at = 0.0
        theatre.performer.tick(time.time())
        web.locks[UID] = "2.25.99"
        web.items[UID].ProcedureStepState = "IN PROGRESS"
    theatre.until(lambda: theatre.ledger.find_jobs()[0].state == State.CANCELED)
    assert all(claim.stage == ClaimStage.OVER for claim in theatre.worklist.find_claims("manager"))


def test_a_workitem_whose_images_never_come_is_given_back_with_the_reason(web, theatre):
    web.create(UID)
    theatre.tick()
    theatre.performer.tick(time.time() + 31 * 60)
    item = web.read(UID)
    assert item.ProcedureStepState == "CANCELED"
    told = item.ProcedureStepProgressInformationSequence[0]
    assert told.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110523"
    assert told.ReasonForCancellation == "given up: its images did not come"


def test_a_clock_that_is_set_back_does_not_stop_the_search(web, theatre):
    theatre.performer.tick(time.time() + 86400)
    web.create(UID)
    theatre.tick()
    assert web.read(UID).ProcedureStepState == "IN PROGRESS"


def test_a_clock_that_is_set_forward_makes_no_claim_older_than_it_is(web, theatre):
    web.create(UID)
    theatre.tick()
    theatre.worklist.move_claims(86400)
    theatre.performer.tick(time.time() + 86400)
    assert web.read(UID).ProcedureStepState == "IN PROGRESS"
    theatre.performer.tick(time.time() + 86400 + 31 * 60)
    assert web.read(UID).ProcedureStepState == "CANCELED"


def test_a_workitem_that_cannot_be_copied_is_given_back(web, theatre):
    web.create(UID, ScheduledProcedureStepPriority="WHENEVER")
    theatre.tick()
    item = web.read(UID)
    assert item.ProcedureStepState == "CANCELED"
    assert "ScheduledProcedureStepPriority" in item.ProcedureStepProgressInformationSequence[0].ReasonForCancellation
    assert theatre.items() == []


def test_a_last_word_that_the_manager_refuses_is_said_once_and_logged(web, theatre, monkeypatch, caplog):
    theatre.receive()
    theatre.finish_study()
    web.create(UID)
    theatre.until(theatre.ledger.find_jobs)
    monkeypatch.setattr(web, "_may_end", lambda item: False)
    perform(theatre)
    theatre.until(lambda: theatre.worklist.find_claims("manager")[0].stage == ClaimStage.OVER)
    assert "does not take that it is COMPLETED" in caplog.text
    assert theatre.item().ProcedureStepState == StepState.COMPLETED
    assert "Doe" not in caplog.text


def test_one_workitem_that_makes_no_sense_holds_up_no_other(web, theatre, monkeypatch):
    find = web.find
    broken = Dataset()
    broken.ProcedureStepState, broken.SOPInstanceUID = "SCHEDULED", "1.2.826.6.6"
    model = make_task(SOPInstanceUID="1.2.826.6.6").to_json_dict() | {"00404018": 7}
    broken.to_json_dict = lambda: model
    monkeypatch.setattr(web, "find", lambda **keys: [broken, *find(**keys)])
    web.create(UID)
    theatre.tick()
    assert web.read(UID).ProcedureStepState == "IN PROGRESS"
