"""Every object that we make, on every source that we know of, before judges that no one here wrote."""

from collections import defaultdict
from pathlib import Path

import pytest

from node.dicom.output_gate import check_objects
from node.errors import EncodingError
from tests.judges.page import make_page
from tests.judges.panel import ALLOWED, PANEL, Court

ROOT = Path(__file__).resolve().parents[2]
JUDGES = pytest.mark.parametrize("judge", PANEL, ids=lambda judge: judge.name)
UNSEEN_BY_OUR_GATE = {
    "one voxel more", "boxes three pixels aside", "measurements left out", "labels of each other",
    "laterality out of another context group", "no observer", "key objects of another title",
    "segment without a description", "map without its quantity",
}  # fmt: skip
"""It reads objects, never the result: what the first four changed only who has the result can know."""
pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def court(tmp_path_factory):
    return Court(tmp_path_factory.mktemp("corpus"))


@JUDGES
def test_a_judge_finds_no_error_in_the_corpus(court, judge):
    assert court.find_errors(judge) == []


@JUDGES
def test_a_judge_has_teeth(court, judge):
    assert set(judge.teeth) - court.find_caught(judge) == set()


def test_every_entry_of_the_allow_list_still_forgives_something(court):
    used = set().union(*(court.find_used(judge) for judge in PANEL))
    assert [entry for entry in ALLOWED if entry not in used] == []


def test_our_own_gate_passes_what_the_judges_pass(court):
    cases = defaultdict(list)
    for exhibit in court.exhibits:
        cases[exhibit.case].append(exhibit.dataset)
    for case, objects in cases.items():
        check_objects(objects, case.stack.headers)


def test_our_own_gate_stops_every_mutant_but_those_named_here(court):
    passed = set()
    for mutant in court.mutants:
        others = [exhibit.dataset for exhibit in court.exhibits if exhibit.case is mutant.case]
        objects = [mutant.dataset if ds.SOPInstanceUID == mutant.dataset.SOPInstanceUID else ds for ds in others]
        try:
            check_objects(objects, mutant.case.stack.headers)
        except EncodingError:
            continue
        passed.add(mutant.mutant)
    assert passed <= UNSEEN_BY_OUR_GATE


def test_the_page_is_what_the_judges_say(court):
    assert make_page(court) == (ROOT / "docs/judges.md").read_text("utf-8"), "python -m tests.judges.page"
