"""Long lists of values in statements: whole, in parts, and of few different lengths."""

from sqlalchemy import event

from node.ledger import SqlLedger
from node.ledger.chunks import CHUNK, cut, fill_up


def make_paths(count):
    return [f"kept/00/{n:032x}.dcm" for n in range(count)]


def test_every_value_is_there_in_its_order_and_none_is_new():
    for count in (0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5):
        paths = make_paths(count)
        parts = list(cut(paths))
        assert list(dict.fromkeys(path for part in parts for path in part)) == paths
        assert len(parts) == -(-count // CHUNK)


def test_no_list_has_a_length_of_its_own():
    lengths = {len(fill_up(make_paths(count))) for count in range(CHUNK + 1)}
    assert lengths == {0, *(1 << n for n in range(10))}


def test_a_question_of_any_length_is_one_of_few_statements(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.sqlite")
    asked = set()
    event.listen(ledger._engine, "before_cursor_execute", lambda *args: asked.add(args[2]))
    for count in range(1, CHUNK + 1):
        assert ledger.find_expired(make_paths(count)) == set()
        assert ledger.find_named(make_paths(count)) == {}
    ledger.close()
    assert len(asked) == 1 + 2 * 10  # BEGIN, and both questions about 1, 2, 4 to 512 values
