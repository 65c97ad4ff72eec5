"""What the command line shows of bundles and of a pipeline that was tried."""

import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from node.bundles import app, describe, make_findings
from node.tables import make_pipelines
from pipelines.terms import Code, Manifest, Requires
from tests.pipelines.bundles.made import CONFIGS, edit_config


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


def test_what_keeps_a_series_out_is_shown():
    requires = Requires("CT", 20, (0.0, 3.0), pixel_mm=1.2, orientations=("axial",), body_parts=("CHEST", "LUNG"))
    said = "axial CT of CHEST or LUNG, at least 20 planes, 0 to 3 mm apart, pixels up to 1.2 mm"
    manifest = make_manifest(requires=requires, gives=(Code("39607008", "SCT", "Lung"),))
    assert said in show(describe(manifest, Path("/shelf")))
    assert "gives    Lung (39607008 SCT)" in show(describe(manifest, Path("/shelf")))
    assert said.partition(", pixels")[0] in show(make_pipelines([manifest]))
    assert Requires("*", 1).in_words() == "any modality, at least 1 plane"


def test_units_in_brackets_are_shown():
    found = {"what": "Lung", "where": "Right", "present": True, "values": ["Attenuation -821 [hnsf'U]"]}
    gone = {"what": "Nodule", "where": "", "present": False, "values": []}
    text = show(make_findings({"findings": [found, gone]}))
    assert "[hnsf'U]" in text
    assert "absent" in text


def test_what_is_known_of_something_absent_is_shown():
    gone = {"what": "Nodule", "where": "", "present": False, "values": ["Change: Seen in the earlier study"]}
    assert "absent; Change: Seen in the earlier study" in show(make_findings({"findings": [gone]}))


@pytest.mark.parametrize(
    ("folder", "words", "installed"),
    [("mine", [], True), ("other", ["--name", "mine"], True), ("other", [], False), ("mine", ["--name", "x"], False)],
)
def test_trust_is_found_by_the_name_that_the_bundle_gets(folder, words, installed, tmp_path):
    bundle = tmp_path / folder
    shutil.copytree(CONFIGS / "tiny_ct_segmentation", bundle)
    edit_config(bundle, lambda config: config.update(inferer={"_target_": "scripts.mine.Inferer"}))
    config = tmp_path / "wetread.toml"
    config.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n[bundles.mine]\ntrust = "code"\n')
    answer = CliRunner().invoke(app, ["add", str(bundle), *words, "--config", str(config)])
    assert (answer.exit_code == 0) is installed, answer.output
    assert installed or "BundleUntrusted" in str(answer.exception)
