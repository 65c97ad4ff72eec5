"""A page that answers a button stays fresh in a real browser, though its address takes no GET."""

from tests.node.web.test_pages_browser import browser, log_in, pytestmark, service

__all__ = ["browser", "pytestmark", "service"]


def test_after_a_refused_action_the_page_is_asked_for_at_its_own_address(browser, service):
    log_in(browser, service, "/peers")
    browser.evaluate("document.querySelector('form[action=\"/peers/pacs/echo\"] button').click()")
    browser.wait("location.pathname === '/peers/pacs/echo' && document.querySelector('[role=alert]') !== null")
    browser.evaluate("document.activeElement.blur()")
    browser.wait("document.getElementById('fresh').textContent.startsWith('As of')")
