"""A study submitted by its uid by a program: what is accepted, what is refused, and where it is told to look."""

import pytest

from node.model.submission import SubmissionState
from tests.node.web.test_api import check, find_schema
from tests.node.web.test_pages import PEERS, Site

ASKED = {"study_uid": "1.2.3.77", "from": "archive", "route": "chest CT"}
ARCHIVE = {"ae_title": "ARCHIVE", "address": "127.0.0.1:1", "query": True}


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, peers=PEERS | {"archive": ARCHIVE})
    yield site
    site.ledger.close()


def test_a_submission_is_written_down_once_and_says_where_to_look(site):
    answer = site.client.post("/api/v1/studies", json=ASKED)
    check(answer.json(), find_schema("/api/v1/studies", "post", "202"))
    assert (answer.status_code, answer.json()["state"]) == (202, "ASKED")
    again = site.client.post("/api/v1/studies", json=ASKED)
    assert (again.status_code, again.json()) == (200, answer.json())
    found = site.get(answer.headers["Location"])
    assert found.json() == answer.json()
    assert len(site.ledger.find_submissions("1.2.3.77")) == 1
    assert '"study": "1.2.3.77"' in site.audit()[0]


def test_what_was_made_of_it_is_linked(site):
    one = site.ledger.find_submission(site.client.post("/api/v1/studies", json=ASKED).json()["id"])
    site.ledger.move_submission(one, SubmissionState.MADE, "4 of 4", 0.0, ["a" * 32])
    body = site.get(f"/api/v1/submissions/{one.id}").json()
    assert body["jobs"] == [{"id": "a" * 32, "href": "/api/v1/jobs/" + "a" * 32}]
    assert site.client.post("/api/v1/studies", json=ASKED).status_code == 200
    assert site.client.post("/api/v1/studies", json=ASKED | {"again": True}).status_code == 202


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"study_uid": "1.2.x"}, 400),
        ({"study_uid": "../1"}, 400),
        ({"study_uid": "1." * 32 + "1"}, 400),
        ({"study_uid": 7}, 400),
        ({"route": ""}, 400),
        ({"pipeline": "lung-seg"}, 400),
        ({"again": "yes"}, 400),
        ({"patient": "x"}, 400),
        ({"from": "pacs"}, 404),
        ({"route": "none"}, 404),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written_down(site, change, status):
    answer = site.client.post("/api/v1/studies", json=ASKED | change)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert site.ledger.find_submissions() == []


def test_a_pipeline_in_place_of_a_route_is_one_that_there_is(site):
    asked = {"study_uid": "1.2.3.77", "from": "archive"}
    assert site.client.post("/api/v1/studies", json=asked).status_code == 400
    assert site.client.post("/api/v1/studies", json=asked | {"pipeline": "none"}).status_code == 404
    assert site.client.post("/api/v1/studies", json=asked | {"pipeline": "lung-seg"}).status_code == 202


def test_a_submission_that_there_is_not_is_said_with_404(site):
    assert site.get("/api/v1/submissions/none").status_code == 404


def test_who_only_reads_may_not_submit(tmp_path):
    site = Site(tmp_path, web={"anonymous": "viewer"}, peers=PEERS | {"archive": ARCHIVE})
    assert site.client.post("/api/v1/studies", json=ASKED).status_code == 403
    site.ledger.close()
