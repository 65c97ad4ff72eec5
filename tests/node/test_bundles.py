"""What the command line shows of bundles and of a pipeline that was tried."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from node.bundles import describe, make_findings
from node.tables import make_pipelines
from pipelines.terms import Code, Manifest, Requires


def show(thing):
    console = Console(width=100, record=True, file=StringIO())
    console.print(thing)
    return console.export_text()


def make_manifest(**changes):
    code = Code("25045-6", "LN", "CT unspecified body region")
    words = {"intended_use": "Tests", "not_for": "Anything else", "procedure": code, "weights_sha256": "0" * 64}
    given = {"name": "odd", "version": "1.0", "title": "Odd", "manufacturer": "Tests", "requires": Requires("CT")}
    return Manifest(**(given | words | {"gives": ()} | changes))


def test_a_pipeline_without_concepts_is_listed_as_needing_them():
    assert "needs concepts" in show(make_pipelines([make_manifest(lacks=("gizmo",))]))
    assert "needs concepts" not in show(make_pipelines([make_manifest()]))
    assert "lacks    gizmo" in show(describe(make_manifest(lacks=("gizmo",)), Path("/shelf")))


def test_units_in_brackets_are_shown():
    found = {"what": "Lung", "where": "Right", "present": True, "values": ["Attenuation -821 [hnsf'U]"]}
    gone = {"what": "Nodule", "where": "", "present": False, "values": []}
    text = show(make_findings({"findings": [found, gone]}))
    assert "[hnsf'U]" in text
    assert "absent" in text
