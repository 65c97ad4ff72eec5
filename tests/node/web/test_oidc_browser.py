"""Logging in and out at an identity provider of another site, in a real browser: its cookie rules, our policy."""

import pytest

from tests.node.web.identity_provider import CLIENT, SECRET, open_provider
from tests.node.web.service import Service
from tests.node.web.test_pages_browser import CHROMIUM, Browser
from tests.ports import free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def provider():
    with open_provider() as provider:
        yield provider


def test_a_browser_logs_in_at_another_site_searches_a_patient_and_logs_out(tmp_path, provider):
    port = free_port()
    root = f"http://localhost:{port}"  # to a browser another site than 127.0.0.1
    (tmp_path / "s").write_text(SECRET)
    oidc = {"issuer": provider.issuer, "client_id": CLIENT, "secret_file": tmp_path / "s"}
    web = {"public_url": root, "oidc": oidc | {"roles": {"radiology": "viewer"}}}
    with Service(tmp_path, port, web=web):
        browser = Browser(tmp_path / "profile")
        try:
            browser.go(f"{root}/login?next=/studies")
            browser.evaluate("document.querySelector('a[href^=\"/login/oidc\"]').click()")
            browser.wait("location.pathname === '/studies' && document.readyState === 'complete'")
            assert "oidc:ann" in browser.evaluate("document.body.innerText")
            browser.evaluate("""
                document.querySelector("input[name=patient_id]").value = "MRN-0815";
                document.querySelector("form[action='/patient']").requestSubmit(); 1""")
            browser.wait("location.search.startsWith('?patient=') && document.readyState === 'complete'")
            assert "of one patient only" in browser.evaluate("document.body.innerText")
            assert not browser.evaluate("location.href.includes('0815')")
            assert not browser.errors
            browser.evaluate("document.querySelector('form[action=\"/logout\"]').requestSubmit(); 1")
            browser.wait("location.pathname === '/bye'")
            assert browser.evaluate("location.origin") == provider.issuer
            browser.ask("Page.navigate", url=f"{root}/studies")
            browser.wait("location.pathname === '/login'")
        finally:
            browser.close()
