"""/api/v1 for programs: the same verbs as the pages, and a description that fits them."""

import json
import re
import time

import pytest
from starlette.routing import Route

from node.model.job import Priority, State
from node.web.api import OPENAPI, ROOT
from tests.jobs import add_job, add_study
from tests.node.web.test_pages import FAILED, Site, add_failed, add_results, fill

DOCUMENT = json.loads(OPENAPI.read_text())


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.ledger.close()


def find_addresses(routes):
    """(method, path) of the addresses under /api/v1; an action is each of its names."""
    found = set()
    for route in routes:
        if isinstance(route, Route) and route.path.startswith(ROOT):
            actions = ("retry", "cancel", "resend", "priority") if "{action}" in route.path else ("",)
            methods = (route.methods or set()) - {"HEAD"}
            found |= {(m.lower(), route.path.replace("{action}", action)) for m in methods for action in actions}
    return found


def test_the_document_describes_every_address_and_no_other(site):
    described = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described | {("get", "/api/v1/me")} == find_addresses(site.client.app.routes)


def test_the_document_holds_together(site):
    text = OPENAPI.read_text()
    for place in set(re.findall(r'"#/([^"]+)"', text)):
        found = DOCUMENT
        for step in place.split("/"):
            found = found[step]
    for path, methods in DOCUMENT["paths"].items():
        for method in methods.values():
            named = [
                DOCUMENT["components"]["parameters"]["job"] if "$ref" in p else p for p in method.get("parameters", [])
            ]
            assert {p["name"] for p in named if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path)), path
    assert len({m["operationId"] for ms in DOCUMENT["paths"].values() for m in ms.values()}) == sum(
        map(len, DOCUMENT["paths"].values())
    )
    assert site.get("/api/v1/openapi.json").json() == DOCUMENT


def check(value, schema):
    """That `value` is as `schema` says: of JSON Schema what the document uses."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = {"string": str, "number": (int, float), "integer": int, "array": list, "object": dict, "null": type(None)}
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, kinds[name]) for name in names), (value, schema)
    assert value in schema.get("enum", [value])
    if isinstance(value, list):
        for item in value:
            check(item, schema["items"])
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value)
        if "properties" in schema:
            assert set(value) <= set(schema["properties"]), set(value) - set(schema["properties"])
        for key, item in value.items():
            check(item, schema.get("properties", {}).get(key) or schema.get("additionalProperties", {"type": names}))


def find_schema(path, method="get", code="200"):
    return DOCUMENT["paths"][path][method]["responses"][code]["content"]["application/json"]["schema"]


def test_answers_are_as_described(site):
    job = add_results(site, add_job(site.ledger))
    check(site.get(f"/api/v1/jobs/{job.id}").json(), find_schema("/api/v1/jobs/{job}"))
    check(site.get("/api/v1/jobs").json(), find_schema("/api/v1/jobs"))
    check(site.get("/api/v1/jobs?limit=1").json(), find_schema("/api/v1/jobs"))
    check(site.get("/api/v1/peers").json(), find_schema("/api/v1/peers"))
    add_study(site.ledger, "1.2.60", how="")
    answer = site.client.post("/api/v1/studies/1.2.60/complete")
    check(answer.json(), find_schema("/api/v1/studies/{study}/complete", "post", "202"))


def test_without_parameters_the_list_is_whole_as_ever(site):
    fill(site.ledger, 120)
    add_study(site.ledger, "1.2.60", how="")
    rows = site.get("/api/v1/jobs").json()
    assert len(rows) == 121
    assert rows[0].keys() == {"state", "pipeline", "study_uid", "job_id", "since", "reason", "evidence"}
    assert "RECEIVING" in {row["state"] for row in rows}


def test_pages_are_linked_there_and_back(site):
    fill(site.ledger, 25)
    seen, answer = [], site.get("/api/v1/jobs?limit=10&pipeline=lung-seg")
    while True:
        seen += [int(row["job_id"], 16) for row in answer.json()]
        if "next" not in answer.links:
            break
        answer = site.get(answer.links["next"]["url"])
    assert seen == list(range(24, -1, -1))
    back = site.get(answer.links["prev"]["url"])
    assert [int(row["job_id"], 16) for row in back.json()] == list(range(14, 4, -1))


def test_a_row_of_a_page_is_that_of_the_whole_list(site):
    add_failed(site.ledger)
    assert site.get("/api/v1/jobs?limit=5").json() == site.get("/api/v1/jobs").json()


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "before=x", "state=GONE"])
def test_a_query_that_makes_no_sense_is_refused(site, query):
    answer = site.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_verbs_move_the_job_and_say_how_it_is_now(site):
    add_failed(site.ledger)
    job = site.client.post(f"/api/v1/jobs/{FAILED}/retry").json()
    assert (job["state"], job["possible"]) == ("QUEUED", ["cancel", "priority"])
    assert site.client.post(f"/api/v1/jobs/{FAILED}/priority", json={"to": "stat"}).json()["priority"] == "stat"
    assert site.ledger.get_job(FAILED).priority == Priority.STAT
    assert site.client.post(f"/api/v1/jobs/{FAILED}/cancel").json()["state"] == "CANCELED"
    again = site.client.post(f"/api/v1/jobs/{FAILED}/cancel")
    assert again.status_code == 409
    assert "cannot be canceled" in again.json()["detail"]
    assert '"to": "stat"' in site.audit()[1]


def test_resend_by_name_of_the_peer(site):
    job = add_results(site, add_job(site.ledger))
    site.ledger.move_job(job, State.FAILED, time.time(), "deliver", "refused")
    assert site.client.post(f"/api/v1/jobs/{job.id}/resend", json={"peer": "nobody"}).status_code == 409
    answer = site.client.post(f"/api/v1/jobs/{job.id}/resend", json={"peer": "pacs"})
    assert answer.status_code == 200
    assert [one["state"] for one in answer.json()["deliveries"]] == ["PENDING"]


def test_bodies_that_are_none_are_refused(site):
    add_failed(site.ledger)
    assert site.client.post(f"/api/v1/jobs/{FAILED}/retry", content=b"{").status_code == 400
    assert site.client.post(f"/api/v1/jobs/{FAILED}/retry", content=b"[]").status_code == 400
    assert site.client.post(f"/api/v1/jobs/{FAILED}/retry", content=b" " * 70_000).status_code == 413
    assert site.client.post("/api/v1/jobs/none/retry").status_code == 404
    assert site.client.post("/api/v1/studies/9.9/complete").status_code == 404
    assert site.client.post("/api/v1/peers/nobody/echo").status_code == 404
    assert site.ledger.get_job(FAILED).state == State.FAILED
