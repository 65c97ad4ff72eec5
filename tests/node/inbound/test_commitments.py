"""Storage commitment asked of us: what we hold is committed to, what we do not hold is said by name."""

import time

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt

from node import wiring
from node.config import load_settings
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
from node.ledger import SqlLedger
from node.outbound.reactor import hold_reactor
from node.outbound.report import Reporter
from node.outbound.send import send_files
from tests.ports import free_port
from tests.series import make_series, write_series
from tests.waiting import wait_until

TOML = """
[node]
listen = "127.0.0.1:{door}"
home = "home"
[deliver]
retry_first = "PT1S"
[peers.scanner]
ae_title = "SCANNER"
address = "127.0.0.1:{scanner}"
send = true
"""
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def door(tmp_path):
    path = tmp_path / "wetread.toml"
    ports = {"door": free_port(), "scanner": free_port()}
    path.write_text(TOML.format(**ports))
    settings = load_settings(path, {})
    listener = wiring.make_listener(settings)
    listener.start()
    images = make_series((3, 4, 4))
    sent = send_files(
        write_series(images, tmp_path / "in"), "SCANNER", ("127.0.0.1", ports["door"]), "WETREAD", lambda *_: 0
    )
    assert sent.taken == 3
    ledger = SqlLedger(settings.ledger_url)
    yield settings, ledger, [image.SOPInstanceUID for image in images], ports
    listener.stop()
    ledger.close()


class Scanner:
    """A client that asks to commit and takes reports, on its association or on one that we open."""

    def __init__(self, ports):
        self.ports = ports
        self.reports = []
        self.entity = AE("SCANNER")
        self.entity.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
        self.entity.add_supported_context(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=True)

    def take(self, event):
        self.reports.append((event.request.EventTypeID, event.event_information))
        return 0x0000, None

    def ask(self, references, *, wait=True, transaction="2.25.77"):
        """The status of the N-ACTION."""
        request = Dataset()
        request.TransactionUID = transaction
        request.ReferencedSOPSequence = []
        for sop_class, uid in references:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            request.ReferencedSOPSequence.append(item)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take)] if wait else [(evt.EVT_N_EVENT_REPORT, self.refuse)]
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=False)
        line = self.entity.associate(
            "127.0.0.1", self.ports["door"], ae_title="WETREAD", ext_neg=[role], evt_handlers=handlers
        )
        assert line.is_established
        with hold_reactor(line):
            status, _ = line.send_n_action(
                request, 1, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
            )
        if wait:
            wait_until(lambda: self.reports)
            line.release()
        else:
            line.abort()
        return status.Status

    @staticmethod
    def refuse(_event):
        return 0x0110, None

    def listen(self):
        return self.entity.start_server(
            ("127.0.0.1", self.ports["scanner"]), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)]
        )


def test_what_we_hold_is_committed_to_on_the_same_association(door):
    _, ledger, uids, ports = door
    scanner = Scanner(ports)
    assert scanner.ask([(CT, uid) for uid in uids]) == 0x0000
    ((kind, report),) = scanner.reports
    assert kind == 1
    assert report.TransactionUID == "2.25.77"
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == uids
    assert "FailedSOPSequence" not in report
    assert wait_until(lambda: not ledger.find_commitments("SCANNER", time.time() + 99))


def test_what_we_do_not_hold_is_named_with_its_reason(door):
    _, _, uids, ports = door
    scanner = Scanner(ports)
    scanner.ask([(CT, uids[0]), (CT, "1.2.3.999"), ("1.2.840.10008.5.1.4.1.1.4", uids[1])])
    ((kind, report),) = scanner.reports
    assert kind == 2
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [uids[0]]
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert failed == {"1.2.3.999": 0x0112, uids[1]: 0x0119}


def test_a_peer_that_does_not_wait_gets_its_report_on_an_association_of_ours(door):
    settings, ledger, uids, ports = door
    scanner = Scanner(ports)
    assert scanner.ask([(CT, uids[0])], wait=False) == 0x0000
    assert len(ledger.find_commitments("SCANNER", time.time() + 99)) == 1
    reporter = Reporter("scanner", settings, ledger)
    reporter.tick(time.time() + 25)
    assert [c.attempts for c in ledger.find_commitments("SCANNER", time.time() + 99)] == [1]
    server = scanner.listen()
    reporter.tick(time.time() + 60)
    server.shutdown()
    ((kind, report),) = scanner.reports
    assert (kind, report.TransactionUID) == (1, "2.25.77")
    assert ledger.find_commitments("SCANNER", time.time() + 99) == []


def test_a_request_without_its_uids_is_a_processing_failure(door):
    _, ledger, uids, ports = door
    assert Scanner(ports).ask([(CT, uids[0])], wait=False, transaction="") == 0x0110
    assert ledger.find_commitments("SCANNER", time.time() + 99) == []
