"""What is expected of a study decides when it is closed, and every wait says for what."""

import time

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import load_settings
from node.errors import ConfigError, UnknownStudy
from node.model.delivery import ResultObject
from node.model.expectation import Expectation, Kind
from node.model.job import State
from node.model.study import StudyState
from node.oversight.overview import list_rows
from tests.node.inbound.desk import ROUTES, STUDY, Desk
from tests.series import make_series

PEERS = {"pacs": {"ae_title": "PACS", "address": "127.0.0.1:1", "send": True, "count_by": "query"}}
EXPECTS = [
    {"Modality": "MR", "SeriesDescription": {"like": "T1"}},
    {"Modality": "MR", "SeriesDescription": {"like": "FLAIR"}},
]


@pytest.fixture
def make_desk(tmp_path):
    desks = []

    def make(**changes):
        desks.append(Desk(tmp_path, **changes))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def make_mr(description, count=3, series="1"):
    uids = {"SeriesInstanceUID": f"{STUDY}.{series}", "SeriesDescription": description}
    return make_series((count, 4, 4), modality="MR", StudyInstanceUID=STUDY, **uids)


# Series that a route expects


def test_a_study_waits_for_the_series_that_its_route_expects_and_says_for_which(make_desk):
    desk = make_desk(routes=[ROUTES[0] | {"expects": EXPECTS}])
    desk.send(make_mr("T1 MPRAGE"))
    assert desk.judge(11.0).state == StudyState.RECEIVING
    (row,) = list_rows(desk.ledger)
    assert row.reason == "waits: route 'head MR' expects a series with Modality MR and SeriesDescription like 'FLAIR'"
    desk.send(make_mr("sag flair", series="2"))
    assert desk.judge(5.0).state == StudyState.RECEIVING
    study = desk.judge(11.0)
    assert study.state == StudyState.COMPLETE
    assert "no image for" in study.evidence
    assert study.waits == ""


def test_a_route_that_does_not_match_expects_nothing(make_desk):
    other = {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "expects": [{"Modality": "CT"}]}
    elsewhere = ROUTES[0] | {"name": "other", "from": ["pacs"], "expects": EXPECTS}
    desk = make_desk(routes=[*ROUTES, other, elsewhere], peers=PEERS)
    desk.send(make_mr("T2"), caller="SCANNER")
    assert desk.judge(11.0).state == StudyState.COMPLETE


def test_after_give_up_a_study_without_its_series_is_processed_with_a_note(make_desk):
    desk = make_desk(routes=[ROUTES[0] | {"expects": EXPECTS}])
    desk.send(make_mr("T1"))
    assert desk.judge(101.0).state == StudyState.COMPLETE
    (job,) = desk.ledger.find_jobs()
    assert job.state == State.QUEUED
    assert "FLAIR" in job.notes[0]
    assert "may be incomplete" in job.notes[0]


def test_on_give_up_fail_names_what_lacks_and_retry_runs_the_job(make_desk, monkeypatch):
    desk = make_desk(routes=[ROUTES[0] | {"expects": EXPECTS}], on_give_up="fail")
    desk.send(make_mr("T1"))
    assert desk.judge(101.0).state == StudyState.COMPLETE
    (job,) = desk.ledger.find_jobs()
    assert job.state == State.FAILED
    assert job.reason.startswith("IncompleteStudy: gave up waiting: route 'head MR' expects a series with Modality MR")
    assert [event.state for event in desk.ledger.find_history(job.id)] == [State.FAILED]
    run(monkeypatch, desk, "retry", job.id)
    assert desk.ledger.get_job(job.id).state == State.QUEUED


def test_on_give_up_ask_waits_for_an_operator_who_closes_it(make_desk, monkeypatch):
    desk = make_desk(routes=[ROUTES[0] | {"expects": EXPECTS}], on_give_up="ask")
    desk.send(make_mr("T1"))
    waits = desk.judge(101.0).waits
    assert waits.startswith("gave up waiting: route 'head MR' expects a series")
    assert waits.endswith(f"`wetread complete {STUDY}` closes it as it is")
    assert desk.judge(5000.0).waits == waits
    assert "will be closed" in run(monkeypatch, desk, "complete", STUDY[:6]).output
    study = desk.judge(1.0)
    assert study.state == StudyState.COMPLETE
    assert study.evidence.startswith("complete: an operator said so; route 'head MR' expects")
    assert desk.ledger.find_jobs()[0].notes == (study.evidence,)
    assert isinstance(run(monkeypatch, desk, "complete", STUDY).exception, UnknownStudy)


def test_an_image_that_comes_after_the_operators_word_makes_it_void(make_desk):
    desk = make_desk()
    desk.send(make_mr("T1"))
    desk.ledger.put_expectation(Expectation(STUDY, Kind.OPERATOR, "", time.time()))
    desk.send(make_mr("T2", series="2"))
    assert desk.judge(1.0).state == StudyState.RECEIVING


def run(monkeypatch, desk, *words):
    config = desk.folder / "wetread.toml"
    config.write_text(f'[node]\nhome = "{desk.settings.node.home}"\n')
    monkeypatch.setenv("WETREAD_CONFIG", str(config))
    return CliRunner().invoke(app, words)


# A peer's count


def test_when_the_counts_agree_the_study_is_closed_at_once_and_the_overview_says_why(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"))
    assert desk.judge().waits == "waits: pacs is asked how many instances it has"
    desk.count(3)
    study = desk.judge()
    assert study.evidence == "complete: pacs counts 3 instances, all are here (associations 1 released)"
    assert list_rows(desk.ledger)[0].evidence == study.evidence
    assert desk.ledger.find_history(desk.ledger.find_jobs()[0].id)[0].text == study.evidence


def test_a_count_beyond_what_is_here_is_waited_for_and_asked_again_after_the_next_association(make_desk):
    desk = make_desk(peers=PEERS)
    images = make_mr("T1", 5)
    desk.send(images[:3])
    desk.count(5)
    assert desk.judge(90.0).waits == "waits: pacs counts 5 instances, 3 are here"
    assert desk.ledger.find_questions("PACS", "pacs", time.time(), 10.0, 50) == []
    desk.send(images[3:])
    assert desk.judge().waits == "waits: pacs is asked how many instances it has"
    desk.count(5)
    assert desk.judge().state == StudyState.COMPLETE


def test_a_count_of_some_series_is_held_against_those_alone(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send([*make_mr("T1"), *make_mr("scout", 2, "2")])
    desk.count(4, series=(f"{STUDY}.1",))
    assert desk.judge().waits == "waits: pacs counts 4 instances, 3 are here"
    desk.send(make_mr("T1", 1))
    desk.count(4, series=(f"{STUDY}.1",))
    assert desk.judge().state == StudyState.COMPLETE


def test_a_count_that_is_never_reached_ends_at_give_up(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"))
    desk.count(5)
    study = desk.judge(101.0)
    assert "pacs counts 5 instances, 3 are here" in study.evidence
    assert "may be incomplete" in study.evidence


def test_a_peer_that_does_not_say_leaves_it_to_quiet_and_the_evidence_tells(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"))
    desk.count(None, "PeerUnreachable: nobody there")
    assert desk.judge(9.0).state == StudyState.RECEIVING
    evidence = desk.judge(11.0).evidence
    assert evidence.endswith("; pacs does not say how many instances it has (PeerUnreachable: nobody there)")


def test_a_peer_that_was_never_asked_is_not_waited_for_forever(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"))
    assert desk.judge(29.0).state == StudyState.RECEIVING
    assert "pacs was not asked" in desk.judge(31.0).evidence


def test_fewer_at_the_peer_than_here_decides_nothing(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"))
    desk.count(2)
    assert desk.judge(9.0).state == StudyState.RECEIVING
    assert "pacs counts 2 instances, 3 are here" in desk.judge(11.0).evidence


def test_no_question_while_an_association_of_the_peer_brings_images(make_desk):
    desk = make_desk(peers=PEERS)
    desk.send(make_mr("T1"), how="")
    assert desk.ledger.find_questions("PACS", "pacs", time.time(), 10.0, 50) == []
    assert len(desk.ledger.find_questions("PACS", "pacs", time.time() + 11, 10.0, 50)) == 1


def test_counts_that_agree_do_not_close_what_a_route_still_expects(make_desk):
    desk = make_desk(routes=[ROUTES[0] | {"expects": EXPECTS}], peers=PEERS)
    desk.send(make_mr("T1"))
    desk.count(3)
    assert "FLAIR" in desk.judge().waits


def test_our_own_results_are_counted_neither_here_nor_there(make_desk):
    desk = make_desk(peers=PEERS)
    images = make_mr("T1", 4)
    desk.send(images[:3])
    desk.count(3)
    desk.judge()
    (job,) = desk.ledger.find_jobs()
    job = desk.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
    result = images[3]
    objects = [ResultObject(result.SOPInstanceUID, result.SOPClassUID, "SEG", "j/x.dcm")]
    desk.ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects)
    desk.send([result])  # the PACS routes our own result back
    desk.send(make_mr("T2", 1, "2"))
    (question,) = desk.ledger.find_questions("PACS", "pacs", time.time(), 10.0, 50)
    assert question.ours == {result.SOPInstanceUID}
    assert desk.ledger.tally(STUDY).held == 4


# Announcements


def test_all_that_was_announced_closes_the_study_at_once(make_desk):
    desk = make_desk()
    images = make_mr("T1")
    announce(desk, images)
    desk.send(images)
    assert desk.judge().evidence == "complete: all 3 instances announced are here (associations 1 released)"


def test_an_announcement_that_is_not_filled_is_waited_for(make_desk):
    desk = make_desk()
    images = make_mr("T1", 5)
    desk.send(images[:3])
    announce(desk, images)
    assert desk.judge(99.0).waits == "waits: 5 instances are announced, 3 are here"
    announce(desk, [], gone=images[3:])
    assert desk.judge().state == StudyState.COMPLETE


def test_images_beside_the_announced_ones_leave_it_to_quiet(make_desk):
    desk = make_desk()
    images = make_mr("T1")
    announce(desk, images)
    desk.send([*images, *make_mr("T2", 1, "2")])
    assert desk.judge(9.0).state == StudyState.RECEIVING
    assert "1 images beside them" in desk.judge(11.0).evidence


def test_what_was_said_of_closed_studies_is_forgotten_after_a_while(make_desk):
    desk = make_desk()
    images = make_mr("T1")
    announce(desk, images)
    desk.send(images[:2])
    desk.ledger.forget_expectations(time.time() + 1)
    assert "3 instances are announced" in desk.judge(20.0).waits
    desk.judge(101.0)
    desk.ledger.forget_expectations(time.time() + 1)
    assert desk.ledger.tally(STUDY).announced == 0


def announce(desk, images, gone=()):
    desk.number += 1
    uids = [[str(image.SOPInstanceUID) for image in some] for some in (images, gone)]
    assert desk.ledger.announce(STUDY, f"2.25.{desk.number}", "PACS", *uids, time.time())


# Sent again


def test_an_identical_study_sent_again_neither_opens_it_nor_makes_jobs(make_desk):
    desk = make_desk(peers=PEERS)
    images = make_mr("T1")
    desk.send(images)
    desk.count(3)
    before = desk.judge()
    jobs = desk.ledger.find_jobs()
    desk.send(images)
    desk.send(images, caller="OTHER", how="aborted")
    assert desk.judge(1000.0) == before
    assert desk.ledger.find_jobs() == jobs
    assert desk.ledger.count_instances() == 3
    assert desk.ledger.find_questions("PACS", "pacs", time.time() + 1000, 10.0, 50) == []


# Configuration


def test_what_cannot_be_expected_or_asked_is_refused_at_the_start(tmp_path):
    path = tmp_path / "wetread.toml"
    for text, words in (
        ('[[routes]]\nname="a"\npipeline="lung-seg"\nexpects=[{Nonsense="x"}]', "expects[0].Nonsense"),
        ('[[routes]]\nname="a"\npipeline="lung-seg"\nexpects=[{}]', "expects"),
        ('[peers.a]\nae_title="A"\naddress="h:1"\ncount_by="qido"', "needs dicomweb"),
        ('[completeness]\non_give_up="guess"', "completeness.on_give_up"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
            load_settings(path, {})
