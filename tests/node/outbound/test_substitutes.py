"""A peer that takes no label maps gets the same result as BINARY; one that takes them never sees both."""

import time
from threading import Event, Thread

import pytest
from pynetdicom import AE, evt

from node.config import Settings
from node.ledger import SqlLedger
from node.model.delivery import DeliveryState
from node.model.job import State
from node.outbound.confirm import settle_jobs
from node.outbound.deliver import Deliverer
from node.outbound.outbox import put_objects
from tests.jobs import JOB, add_job
from tests.series import make_series

LABELMAP, BINARY, REPORT = (
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.88.34",
)


class Pacs:
    """A Storage SCP that speaks `classes` and answers label maps with each of `answers` in turn, then with the last."""

    def __init__(self, classes, answers=(0x0000,)):
        self.stored, self._answers = [], list(answers)
        entity = AE("PACS")
        for sop_class in classes:
            entity.add_supported_context(sop_class)
        self._server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._on_store)]
        )
        self.port = self._server.server_address[1]

    def _on_store(self, event):
        status = 0x0000
        if event.request.AffectedSOPClassUID == LABELMAP:
            status = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if status == 0x0000:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return status

    def stop(self):
        self._server.shutdown()


def deliver(folder, pacs):
    """The job's end after delivery of a label map and its report, with their substitutes in the outbox; (state, SOP
    Instance UID -> state of its delivery, the four SOP Instance UIDs)."""
    settings = Settings.model_validate(
        {
            "node": {"home": folder},
            "peers": {"pacs": {"ae_title": "PACS", "address": f"127.0.0.1:{pacs.port}"}},
            "deliver": {"retry_first": "PT0.2S"},
        }
    )
    ledger = SqlLedger(settings.ledger_url)
    add_job(ledger)
    datasets = make_series((4, 4, 4))
    for dataset, sop_class in zip(datasets, (LABELMAP, REPORT, BINARY, REPORT), strict=True):
        dataset.SOPClassUID = sop_class
    uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
    objects = put_objects(settings.outbox, JOB.id, datasets, {uids[0]: uids[2], uids[1]: uids[3]})
    job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
    ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects, shares={"pacs": uids[:2]})
    stop = Event()
    thread = Thread(target=Deliverer("pacs", settings, ledger).run, args=(stop,))
    thread.start()
    patience = time.monotonic() + 20
    while time.monotonic() < patience and ledger.get_job(JOB.id).state not in {State.CONFIRMED, State.FAILED}:
        settle_jobs(ledger)
        time.sleep(0.05)
    stop.set()
    thread.join()
    states = {d.object.sop_instance_uid: d.state for d in ledger.find_deliveries(JOB.id)}
    return ledger.get_job(JOB.id).state, states, uids


@pytest.mark.parametrize(
    ("classes", "answers"),
    [
        ([BINARY, REPORT], [0x0000]),
        ([LABELMAP, BINARY, REPORT], [0x0122]),
        ([LABELMAP, BINARY, REPORT], [0xC000]),
        ([LABELMAP, BINARY, REPORT], [0xA700, 0xA700, 0x0122]),
    ],
    ids=["no context", "0x0122", "0xC000", "later, then never"],
)
def test_a_peer_that_refuses_label_maps_gets_binary_and_the_report_that_names_it(tmp_path, classes, answers):
    pacs = Pacs(classes, answers)
    state, states, uids = deliver(tmp_path, pacs)
    pacs.stop()
    assert state == State.CONFIRMED
    assert pacs.stored == uids[2:]
    assert [states[uid] for uid in uids] == [DeliveryState.REPLACED] * 2 + [DeliveryState.KEPT] * 2


def test_a_peer_that_takes_label_maps_gets_nothing_else(tmp_path):
    pacs = Pacs([LABELMAP, BINARY, REPORT], [0xA700, 0x0000])
    state, states, uids = deliver(tmp_path, pacs)
    pacs.stop()
    assert state == State.CONFIRMED
    assert pacs.stored == uids[:2]
    assert states == dict.fromkeys(uids[:2], DeliveryState.KEPT)


def test_a_peer_that_refuses_both_forms_fails_the_job_by_name(tmp_path):
    pacs = Pacs([REPORT])
    state, states, uids = deliver(tmp_path, pacs)
    pacs.stop()
    assert state == State.FAILED
    assert [states[uid] for uid in uids[2:]] == [DeliveryState.REFUSED, DeliveryState.KEPT]
