"""Each status that a destination may answer does to its object what PS3.4 table B.2-1 and PS3.7 annex C say."""

import io
import time

import pytest
from rich.console import Console

from node.model.delivery import DeliveryState
from node.outbound.answers import Answer, Verdict
from node.tables import make_history
from tests.node.outbound.house import House, on_store, peer, serving

TAKEN = {0x0000}
NOTED = {0x0001, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007, 0xB123, 0xBFFF}
LATER = {0x0110, 0x0213, 0xA700, 0xA701, 0xA7FF}
REFUSED = {0x0106, 0x0117, 0x0119, 0x0120, 0x0122, 0x0124, 0x0211, 0xA900, 0xA9FF, 0xC000, 0xC123, 0xCFFF}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Delivered once to a real SCP that answers each object with another of the codes."""
    codes = sorted(TAKEN | NOTED | LATER | REFUSED)
    answers = {}
    with serving(handlers=on_store(lambda uid: answers[uid])) as port:
        home = House(tmp_path_factory.mktemp("answers"), {"pacs": peer(port)}, slices=len(codes))
        home.codes = {}
        for delivery, code in zip(home.deliveries(), codes, strict=True):
            answers[delivery.object.sop_instance_uid] = code
            home.codes[code] = delivery.object.sop_instance_uid
        home.deliverers["pacs"].tick(time.time())
    home.found = {d.object.sop_instance_uid: d for d in home.deliveries()}
    return home


@pytest.mark.parametrize("code", sorted(TAKEN | NOTED), ids=hex)
def test_success_and_warnings_are_success(house, code):
    assert house.found[house.codes[code]].state == DeliveryState.KEPT


@pytest.mark.parametrize("code", sorted(LATER), ids=hex)
def test_what_time_may_cure_goes_again(house, code):
    delivery = house.found[house.codes[code]]
    assert delivery.state == DeliveryState.PENDING
    assert delivery.next_at > delivery.made_at
    assert f"0x{code:04X}" in delivery.answer


@pytest.mark.parametrize("code", sorted(REFUSED), ids=hex)
def test_refusals_are_final(house, code):
    delivery = house.found[house.codes[code]]
    assert delivery.state == DeliveryState.REFUSED
    assert f"0x{code:04X}" in delivery.answer


def test_a_warning_stays_visible_after_the_object_was_confirmed(house):
    for code in TAKEN | NOTED:
        assert (f"0x{code:04X}" in house.found[house.codes[code]].note) is (code in NOTED)
    page = io.StringIO()
    job = house.ledger.get_job(house.ids[0])
    Console(file=page, width=300).print(make_history(house.ledger, job, house.settings.outbox))
    assert "0xB006 (elements discarded)" in page.getvalue()


def test_no_answer_is_later_and_a_code_of_no_table_a_refusal():
    assert Answer(None).verdict == Verdict.LATER
    assert Answer(0x0777).verdict == Verdict.REFUSED


def test_what_a_peer_says_in_its_own_words_is_not_in_the_code():
    answer = Answer(0xC000, "patient DOE^JANE unknown")
    assert answer.code == "0xC000 (cannot understand)"
    assert "DOE" in str(answer)
