"""What the documents say is on disk."""

import re
from pathlib import Path

import pytest

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
