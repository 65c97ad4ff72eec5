"""The whole way: an order comes by HL7, its study from the modality, and the result goes back under that order."""

import socket

import pytest

from node.config import load_settings
from node.model.job import State
from node.model.message import MessageState
from tests.flow.house import House
from tests.node.inbound.test_order_door import frame, read_answer, verdict
from tests.node.outbound.telling_house import Ris
from tests.ports import free_port
from tests.waiting import wait_until

MORE = """
tell = ["ris"]
[messages.ris]
kind = "hl7"
address = "127.0.0.1:{ris}"
order_update = "OMI^O23"
[messages.ris.template]
critical = [{{ finding = "272673000 SCT Bone" }}]
[hl7]
listen = "127.0.0.1:{orders}"
"""


@pytest.fixture
def site(tmp_path):
    """(a node that has a door for orders, the port of that, its RIS)"""
    orders = free_port()
    with Ris() as ris:
        house = House(tmp_path)
        house.config.write_text(house.config.read_text() + MORE.format(ris=ris.port, orders=orders))
        house.settings = load_settings(house.config, {})
        house.start()
        yield house, orders, ris
        house.close()


def tell_order(port, number, study):
    text = (
        f"MSH|^~\\&|RIS|H|WETREAD||2024||ORM^O01|{number}|P|2.5\rPID|1||PAT\rORC|NW|PL-{number}|FI-{number}\r"
        f"OBR|1|PL-{number}|FI-{number}|CTB^CT bones^L{'|' * 14}{number}\rZDS|{study}^RIS^Application^DICOM\r"
    )
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as line:
            line.sendall(frame(text.encode()))
            return verdict(read_answer(line))
    except ConnectionRefusedError:  # the role has not opened its door yet
        return None


def find_result(ris, number):
    """The ORU that answers the order of this number; None as long as there is none."""
    told = (message for message in list(ris.messages) if "ORU" in str(message.segment("MSH")[9]))
    return next((message for message in told if number in str(message.segment("OBR"))), None)


def test_an_order_its_study_its_result_and_its_priority(site, make_study):
    house, orders, ris = site
    told = {}
    for number, bright in (("A-1", True), ("A-2", False)):
        study, _, files = make_study(folder=number, bright=bright, AccessionNumber=number, PatientID="PAT")
        house.wait_until(lambda number=number, study=study: tell_order(orders, number, study) == ("AA", number), 30)
        house.send(files)
        told[number] = study
    for number, study in told.items():
        (job,) = house.finish(study)
        assert job.state == State.CONFIRMED
        assert wait_until(lambda number=number: find_result(ris, number) is not None)
        result = find_result(ris, number)
        sent = house.wait_until(
            lambda job=job: [one for one in house.ledger.find_messages(job.id) if one.state == MessageState.SENT], 20
        )
        assert {one.answer for one in sent} == {"AA"}
        assert [str(result.segment("OBR")[n]) for n in (2, 3, 4)] == [f"PL-{number}", f"FI-{number}", "CTB^CT bones^L"]
    house.wait_until(lambda: any("OMI" in str(message.segment("MSH")[9]) for message in ris.messages), 20)
    updates = [message for message in ris.messages if "OMI" in str(message.segment("MSH")[9])]
    assert [str(update.segment("OBR")[18]) for update in updates] == ["A-1"]
    assert len(ris.messages) == 3
