"""The configurations that we hand out are right, and the files that install us agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest

from node.config import Settings, load_settings
from node.sections import Peer, Route
from pipelines.terms import get_manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["deploy/wetread.toml", "deploy/compose/wetread.toml"])
def test_an_example_configuration_is_accepted(name):
    settings = load_settings(ROOT / name, {})
    assert settings.routes
    assert settings.peers


NEEDED = {"peers": {"ae_title": "PACS", "address": "pacs.test:104"}, "routes": {"name": "r", "pipeline": "lung-seg"}}
"""What a peer and a route cannot be without."""

EXAMPLES = {
    "peers.web_user",
    "peers.archive.dicomweb",
    "peers.archive.deliver_by",
    "peers.archive.confirm",
    "peers.archive.web.token_file",
    "peers.archive.web.user",
    "peers.archive.web.authorities",
    "peers.archive.web.certificate",
    "peers.archive.web.key",
    "peers.archive.perform.how",
    "peers.archive.perform.label",
    "listen.tls.address",
    "listen.tls.certificate",
    "listen.tls.key",
    "listen.tls.authorities",
    "messages.ris.kind",
    "messages.ris.address",
    "messages.ris.at",
    "messages.ris.order_update",
    "messages.ris.template.receiving_application",
    "messages.ris.task",
    "messages.ris.template.critical",
    "routes.tell",
    "routes.study",
    "routes.expects",
    "routes.gather",
    "routes.after",
    "routes.schedule",
    "queue.url",
    "queue.url_file",
    *(f"webhooks.ris.{key}" for key in ("url", "secret_file", "states", "pipelines", "events", "allow_http")),
    *(f"web.oidc.{key}" for key in ("issuer", "client_id", "secret_file", "roles", "claim", "audience")),
    "web.anonymous",
    "web.users",
    "web.cert",
    "web.key",
    "web.behind_proxy",
    "web.public_url",
    "web.viewer",
    "web.origins",
}
"""What deploy/wetread.toml shows in comments without its being the default."""


def read_comments():
    """ "section.key" -> the line, of every `# key = value` in deploy/wetread.toml."""
    section, found = "", {}
    for line in (ROOT / "deploy/wetread.toml").read_text("utf-8").splitlines():
        if header := re.match(r"(# )?\[+([\w.]+)\]+", line):
            section = header[2] if header[1] else header[2].split(".")[0]
        elif shown := re.match(r"# +(?P<line>(?P<key>\w+) = .*)", line):
            place = section if line.startswith("#  ") else section.split(".")[0]
            found[f"{place}.{shown['key']}"] = shown["line"]
    return found


def test_the_example_says_of_each_example_that_it_is_one():
    assert {
        place for place, line in read_comments().items() if re.search(r"# example, (no |the )?default", line)
    } == EXAMPLES


@pytest.mark.parametrize("place", sorted(read_comments().keys() - EXAMPLES))
def test_a_comment_of_the_example_is_the_default(place):
    section, key = place.split(".")
    value = tomllib.loads(read_comments()[place])[key]
    kind = {"peers": Peer, "routes": Route}.get(section) or Settings.model_fields[section].annotation
    needed = NEEDED.get(section, {})
    assert getattr(kind.model_validate(needed | {key: value}), key) == getattr(kind.model_validate(needed), key)


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


@pytest.mark.parametrize(
    "name", ["lung-seg", "brain-extract", "brain-structures", "follow-up", "lung-nodule", "nodule-malignancy"]
)
def test_every_pipeline_says_what_it_is_for_and_not_for(name):
    manifest = get_manifest(name)
    assert len(manifest.intended_use) > 20
    assert len(manifest.not_for) > 20
    assert re.fullmatch(r"[0-9a-f]{64}", manifest.weights_sha256)
    assert (ROOT / "pipelines" / name.replace("-", "_") / "MODEL_CARD.md").is_file()
