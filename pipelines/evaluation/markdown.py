"""An evaluation as Markdown for docs/evaluation.md."""

from collections.abc import Iterator, Sequence

from pipelines.evaluation.figures import Table
from pipelines.evaluation.reference import Outcome


def write_markdown(name: str, command: str, note: str, tables: Sequence[Table], outcomes: Sequence[Outcome]) -> str:
    """The section of one pipeline: the command to repeat it, what the cases are, tables, refusals, the worst case."""
    return "\n".join(_lines(name, command, note, tables, outcomes)) + "\n"


def _lines(name: str, command: str, note: str, tables: Sequence[Table], outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield from (f"## {name}", "", f"    {command}")
    if note:
        yield from ("", note)
    for table in tables:
        yield from ("", f"{table.title}:", "", _row(table.head), _row(["---"] * len(table.head)))
        yield from (_row(row) for row in table.rows)
    yield ""
    for outcome in outcomes:
        if outcome.refused:
            yield f"- No answer for {outcome.case}: {outcome.refused}"
        for question, (answer, truth) in outcome.labels.items():
            if answer not in ("", truth):
                yield f"- Wrong in {outcome.case}: {question} is {truth}, the answer was {answer}"
    worst = max(outcomes, key=lambda outcome: outcome.badness)
    yield f"- Worst case: {worst.case}" if worst.badness else "- Worst case: none, all are faultless"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
