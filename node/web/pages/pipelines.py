"""`/pipelines`: what is installed, what it is for and not for, and its model card."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from node.web.pages.frame import Frame
from pipelines.terms import Manifest, find_manifests, read_manifest

CARDS = ("MODEL_CARD.md", "docs/README.md", "bundle/docs/README.md")
LONGEST_CARD = 200_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A pipeline on the page. card: Markdown as its author wrote it, "" for none; fault: why it cannot be read."""

    name: str
    manifest: Manifest | None
    card: str
    fault: str = ""


class PipelinePages:
    """One page."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def show(self, request: Request) -> Response:
        """GET /pipelines"""
        shown = [_look(name, path) for name, path in sorted(find_manifests().items())]
        return self._frame.render(request, "pipelines.html", pipelines=shown)


def _look(name: str, path: Path) -> Shown:
    try:
        return Shown(name, read_manifest(path), _read_card(path.parent))
    except (OSError, ValueError) as error:
        return Shown(name, None, "", f"its manifest cannot be read ({type(error).__name__})")


def _read_card(folder: Path) -> str:
    for place in CARDS:
        if (folder / place).is_file():
            return (folder / place).read_text("utf-8", "replace")[:LONGEST_CARD]
    return ""
