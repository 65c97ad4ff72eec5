"""The configurations that we hand out are right, and the files that install us agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest

from node.config import Settings, load_settings
from pipelines.terms import get_manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["deploy/wetread.toml", "deploy/compose/wetread.toml"])
def test_an_example_configuration_is_accepted(name):
    settings = load_settings(ROOT / name, {})
    assert settings.routes
    assert settings.peers


def test_the_comments_of_the_example_are_the_defaults():
    data = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", (ROOT / "deploy/wetread.toml").read_text("utf-8"), flags=re.M))
    defaults = Settings()
    shown = Settings.model_validate(
        {key: data[key] for key in ("listen", "completeness", "work", "deliver")}
        | {"listen": {k: v for k, v in data["listen"].items() if k in {"max_associations", "idle_timeout"}}}
    )
    assert shown.work == defaults.work
    assert shown.deliver == defaults.deliver
    assert shown.completeness == defaults.completeness
    assert shown.listen == defaults.listen


def test_torch_is_the_same_in_the_run_script_and_the_worker_s_image():
    run = re.search(r"torch==([\d.]+)", (ROOT / "run").read_text("utf-8"))
    image = re.search(r"TORCH_VERSION=([\d.]+)", (ROOT / "deploy/worker.Dockerfile").read_text("utf-8"))
    assert run[1] == image[1]


@pytest.mark.parametrize("name", ["lung-seg", "brain-extract", "brain-structures"])
def test_every_pipeline_says_what_it_is_for_and_not_for(name):
    manifest = get_manifest(name)
    assert len(manifest.intended_use) > 20
    assert len(manifest.not_for) > 20
    assert re.fullmatch(r"[0-9a-f]{64}", manifest.weights_sha256)
    assert (ROOT / "pipelines" / name.replace("-", "_") / "MODEL_CARD.md").is_file()
