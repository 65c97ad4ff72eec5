"""Every part is killed and every line cut while studies go round: nothing lost, nothing doubled, nothing stuck.

The short form of tests/bench/chaos.py, which takes any number of studies, kills and seeds.
"""

import time

import pytest

from tests.flow.account import is_over, reckon
from tests.flow.modality import Modality
from tests.flow.storm import KINDS, Storm

pytestmark = pytest.mark.judge

STUDIES, SEED = 10, 4


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """(storm, account) after each kind of kill and cut came once, among studies that were being sent."""
    with Storm(tmp_path_factory.mktemp("storm"), SEED, work_s=0.4) as storm:
        modality = Modality(storm.pacs, storm.folder / "scans")
        modality.start()
        kinds = list(KINDS)
        storm.chance.shuffle(kinds)
        for number in range(max(STUDIES, len(kinds))):
            if number < STUDIES:
                modality.send()
            time.sleep(storm.chance.uniform(0.2, 2.0))
            if number < len(kinds):
                storm.kill(kinds[number])
        storm.calm()
        storm.wait_until(modality.are_all_accepted, 60)
        storm.wait_until(lambda: is_over(storm.ledger, modality.studies), 60)
        missing = storm.wait_for_recovery(30)
        modality.stop()
        time.sleep(1.0)  # what comes twice comes about now
        account = reckon(storm.ledger, storm.settings.spool, storm.pacs, modality.studies)
    assert missing == 0
    yield storm, account


def test_each_part_was_killed_and_each_line_cut(aftermath):
    storm, _ = aftermath
    assert set(storm.kills) == set(KINDS)


def test_no_image_that_was_answered_for_and_no_result_that_was_confirmed_is_lost(aftermath):
    _, account = aftermath
    assert account.accepted == STUDIES
    assert account.lost == []


def test_every_study_ends_in_one_result_set_or_one_named_failure(aftermath):
    _, account = aftermath
    assert account.stuck == []
    assert account.doubled == []
    assert account.unnamed == []
    assert account.confirmed + len(account.failed) == STUDIES
    assert account.confirmed >= STUDIES - 1


def test_node_and_pacs_count_the_same_result_objects(aftermath):
    _, account = aftermath
    assert account.node_uids == account.pacs_uids
    assert len(account.pacs_uids) >= 2 * account.confirmed


def test_no_process_outlives_the_node(aftermath):
    storm, _ = aftermath
    assert storm.find_orphans() == []
