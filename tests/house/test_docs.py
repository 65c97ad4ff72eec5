"""What the documents say is on disk."""

import re
import tomllib
from pathlib import Path

import pytest

from node.config import load_settings
from node.sections import ClientTls, Hl7, Hl7Tls, Receiver, Template

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP = ("node", "pipelines", "workers", "deploy", "tests", "docs", ".ci")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_named_is_there(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
    tops = "|".join(map(re.escape, TOP))
    for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_the_top_level_is_the_agreed_one():
    for name in (
        "pyproject.toml",
        "README.md",
        "node",
        "pipelines",
        "workers",
        "deploy",
        "tests",
        "docker-compose.yml",
    ):
        assert (ROOT / name).exists(), name


def test_no_room_without_a_name_of_its_own():
    bad = {"utils", "util", "helpers", "common", "manager", "base", "misc"}
    for floor in ("node", "pipelines", "workers"):
        assert not [path for path in (ROOT / floor).rglob("*") if path.stem in bad]


def test_the_configuration_on_the_page_of_messages_is_right_and_shows_every_key(tmp_path):
    text = re.search(r"```toml\n(.*?)```", (ROOT / "docs/messages.md").read_text("utf-8"), flags=re.S)[1]
    peer = '[peers.pacs]\nae_title = "PACS"\naddress = "pacs.test:104"\n'
    (tmp_path / "wetread.toml").write_text(peer + text)
    load_settings(tmp_path / "wetread.toml", {})
    shown = tomllib.loads(text)
    assert set(shown["hl7"]) == set(Hl7.model_fields)
    assert set(shown["hl7"]["tls"]) == set(Hl7Tls.model_fields)
    receivers = shown["messages"]
    assert {key for one in receivers.values() for key in one} == set(Receiver.model_fields)
    assert set(receivers["ris"]["template"]) == set(Template.model_fields)
    assert set(receivers["ris"]["tls"]) == set(ClientTls.model_fields)
