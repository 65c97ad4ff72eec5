"""Webhooks by the web: what the page shows of them, what its buttons do, and the same for programs."""

import time

import pytest

from node.outbound.webhook import WebhookNotifier
from tests.jobs import add_job
from tests.node.web.test_api import check, find_schema
from tests.node.web.test_pages import Site

HOOK = {"url": "http://127.0.0.1:1/hook?key=not-shown", "secret_file": "none", "states": ["FAILED"]}


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, webhooks={"ris": HOOK})
    WebhookNotifier("ris", site.settings, site.ledger)
    yield site
    site.ledger.close()


def test_a_paused_hook_says_why_and_is_resumed_by_its_button(site):
    site.ledger.pause_hook("ris", time.time(), "HTTP 410: the receiver wants no more")
    said = site.show("/webhooks")
    assert "ris PAUSED" in said
    assert "HTTP 410: the receiver wants no more" in said
    assert "FAILED" in said
    assert 'wetread_webhook_paused{hook="ris"} 1' in site.get("/metrics").text
    assert site.post("/webhooks/ris/resume").headers["Location"] == "/webhooks?said=resume"
    assert site.ledger.find_hooks()["ris"].paused_at == 0.0
    assert "The webhook is told again." in site.show("/webhooks?said=resume")
    assert '"hook": "ris"' in site.audit()[-1]


def test_what_is_secret_in_an_address_is_not_shown(site):
    assert "127.0.0.1:1/hook" in site.show("/webhooks")
    assert "not-shown" not in site.get("/webhooks").text + site.get("/api/v1/webhooks").text


def test_what_was_given_up_is_listed_and_waits_again(site):
    job = add_job(site.ledger)
    hook = site.ledger.open_hook("ris")
    site.ledger.draw_notices(hook, lambda _notice: True, 1.0, 10)
    notice = site.ledger.find_notices_due("ris", 2.0, 1)[0]
    site.ledger.move_notice(notice, "DEAD", "HTTP 500", 0.0)
    said = site.show("/webhooks")
    assert job.id[:12] in said
    assert "HTTP 500" in said
    assert 'wetread_webhook_events{hook="ris",state="DEAD"} 1' in site.get("/metrics").text
    assert site.post("/webhooks/ris/retry").status_code == 303
    assert site.ledger.count_notices()["ris"].waiting == 1


def test_programs_see_and_do_the_same(site):
    rows = site.get("/api/v1/webhooks").json()
    check(rows, find_schema("/api/v1/webhooks"))
    assert (rows[0]["name"], rows[0]["condition"]) == ("ris", "new")
    for verb in ("resume", "retry"):
        answer = site.client.post(f"/api/v1/webhooks/ris/{verb}")
        check(answer.json(), find_schema(f"/api/v1/webhooks/{{hook}}/{verb}", "post"))
        assert site.client.post(f"/api/v1/webhooks/nobody/{verb}").status_code == 404
        assert site.post(f"/webhooks/nobody/{verb}").status_code == 404
