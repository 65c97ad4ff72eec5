"""All checks of one server, in the order in which they build on each other."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from node.errors import PeerUnreachable
from node.web.check.finding import Finding, skip
from node.web.check.line import Line
from node.web.check.retrieve import check_retrieve
from node.web.check.search import Sample, check_search
from node.web.check.store import check_store

MARKS = {True: "[green]ok[/green]", False: "[red]no[/red]", None: "-"}


def check_server(line: Line, files: Sequence[bytes] = ()) -> Iterator[Finding]:
    """Everything; stores only where `files`, the instances of a new study, are given. Raises PeerUnreachable when
    there is no server; one that breaks off later is a finding."""
    sample = Sample()
    line.ask("/studies?limit=1")
    groups = [check_search(line, sample), check_retrieve(line, sample)]
    if files:
        groups.insert(0, check_store(line, files, sample))
    for group in groups:
        try:
            yield from group
        except PeerUnreachable as error:
            yield Finding("8.5", str(error), "an answer", "none", False)
    if not files:
        yield skip("10.5", "store", "not asked for: --store")


def make_report(findings: Sequence[Finding]) -> Table:
    """A line for each."""
    table = Table("PS3.18", "asked", "expected", "got", "")
    for one in findings:
        table.add_row(one.clause, one.asked, one.expected, one.got, MARKS[one.ok])
    return table
