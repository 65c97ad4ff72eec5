"""What the door remembers of the studies under way."""

from node.inbound import known as module
from node.inbound.known import Known


def make_known(ledger):
    asked = []

    def load(study_uid):
        asked.append(study_uid)
        return dict(ledger.get(study_uid, {}))

    return Known(load), asked


def test_the_ledger_is_asked_once_for_a_study():
    known, asked = make_known({"1.2": {"1.2.1": "a"}})
    assert known.find("1.2", "1.2.1") == "a"
    assert known.find("1.2", "1.2.2") is None
    known.add("1.2", "1.2.2", "b")
    assert known.find("1.2", "1.2.2") == "b"
    assert asked == ["1.2"]


def test_what_is_added_to_a_study_that_nobody_asked_for_is_left_to_the_ledger():
    ledger = {"1.2": {"1.2.1": "a"}}
    known, _ = make_known(ledger)
    known.add("1.2", "1.2.2", "b")
    assert known.find("1.2", "1.2.1") == "a"


def test_the_study_that_nobody_asked_for_longest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(module, "STUDIES", 2)
    known, asked = make_known({})
    for study in ("1", "2", "1", "3", "1", "2"):
        known.find(study, "x")
    assert asked == ["1", "2", "3", "2"]


def test_no_more_instances_are_remembered_than_memory_is_meant_for(monkeypatch):
    monkeypatch.setattr(module, "INSTANCES", 10)
    ledger = {study: {f"{study}.{n}": "a" for n in range(6)} for study in ("1", "2")}
    known, asked = make_known(ledger)
    known.find("1", "x")
    known.find("2", "x")
    known.find("1", "x")
    assert asked == ["1", "2", "1"]


def test_a_forgotten_study_is_asked_for_again():
    ledger = {"1": {"1.1": "a"}}
    known, _ = make_known(ledger)
    known.find("1", "1.1")
    ledger["1"]["1.1"] = "b"
    known.forget("1")
    assert known.find("1", "1.1") == "b"
