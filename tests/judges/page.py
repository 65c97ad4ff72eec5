"""docs/judges.md: prose from page.md beside this file, tables from what the judges say.

`python -m tests.judges.page > docs/judges.md` asks them all, which takes a minute, and prints the page.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from tests.corpus import KINDS
from tests.judges.panel import ALLOWED, PANEL, Court, find_allowed

TEMPLATE = Path(__file__).with_suffix(".md")


def main() -> None:
    """Prints the page."""
    with TemporaryDirectory() as folder:
        sys.stdout.write(make_page(Court(Path(folder))))


def make_page(court: Court) -> str:
    """The whole page; skips the running test where a judge is not installed."""
    cases = list(dict.fromkeys(exhibit.case.name for exhibit in court.exhibits))
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        case_count=len(cases),
        object_count=len(court.exhibits),
        cases=", ".join(cases),
        judges=_table(("Judge", "No error from it means"), ((f"`{j.name}`", j.proves) for j in PANEL)),
        verdicts=_table(("Object", "Made", *(f"`{judge.name}`" for judge in PANEL)), _list_verdicts(court)),
        allowed=_table(("Judge", "Object", "Error", "Why it is none of ours"), _list_allowed()),
        mutants=_table(("Fault", "In", "Caught by"), _list_mutants(court)),
    )


def _list_verdicts(court: Court) -> Iterable[Sequence[str]]:
    """A row a kind of object: how many each judge looked at, and the errors that it found."""
    for kind in KINDS:
        made = [exhibit for exhibit in court.exhibits if exhibit.kind == kind]
        cells = []
        for judge in PANEL:
            said = {exhibit: errors for exhibit, errors in court.ask(judge).items() if exhibit in made}
            pairs = [(one, error) for one in said for error in said[one]]
            forgiven = sum(find_allowed(judge.name, one, error) is not None for one, error in pairs)
            left = f"{len(said)}: {len(pairs) - forgiven}" + (f" ({forgiven} forgiven)" if forgiven else "")
            cells.append(left if said else "")
        yield kind, str(len(made)), *cells


def _list_allowed() -> Iterable[Sequence[str]]:
    for entry in ALLOWED:
        where = ", ".join(part for part in (entry.kind, entry.case) if part)
        yield f"`{entry.judge}`", where, f"`{entry.pattern}`" if entry.pattern else "any", entry.reason


def _list_mutants(court: Court) -> Iterable[Sequence[str]]:
    caught = {judge.name: court.find_caught(judge) for judge in PANEL}
    for exhibit in court.mutants:
        names = [f"`{name}`" for name, found in caught.items() if exhibit.mutant in found]
        yield exhibit.mutant, exhibit.kind, ", ".join(names) or "none of them"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
