"""`python -m pipelines.bundles VERB ...`: what `wetread pipelines` asks of the mind.

Answers one JSON object on standard output; {"error": name, "text": sentence} and exit code 1 where it did not go well.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.bundles.download import download
from pipelines.bundles.install import add_bundle, make_name, map_concepts, remove_bundle
from pipelines.bundles.lock import LOCK, read_lock
from pipelines.errors import PipelineError, UnknownPipeline
from pipelines.terms import Manifest, find_manifests, use_shelf

WEIGHTS = {".pt", ".pth", ".ts", ".safetensors"}
"""How files end that may be a bundle's weights: those of the Model Zoo are not in its repository."""


def main() -> int:
    """The exit code."""
    given = _read_words()
    use_shelf(given.shelf)
    try:
        said = {"add": _add, "remove": _remove, "map": _map}[given.verb](given)
    except PipelineError as error:
        said = {"error": type(error).__name__, "text": str(error)}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if "error" in said else 0


def _read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="pipelines.bundles")
    words.add_argument("verb", choices=["add", "remove", "map"])
    words.add_argument("what")
    words.add_argument("--shelf", type=Path, required=True)
    words.add_argument("--name", default="")
    words.add_argument("--set", action="append", default=[], metavar="ITEM=VALUE")
    words.add_argument("--concepts", type=Path)
    words.add_argument("--trust", action="append", default=[], metavar="NAME", help="a pipeline that may bring code")
    return words.parse_args()


def _add(given: argparse.Namespace) -> dict[str, Any]:
    choices = dict(_choose(text) for text in given.set)
    with tempfile.TemporaryDirectory(prefix="wetread-add-") as folder:
        source = Path(given.what)
        if not source.exists() and "@" in given.what:
            source = download(given.what, Path(folder))
        name = given.name or make_name(source)
        trusted = name in given.trust
        manifest = add_bundle(source, given.shelf, name, choices, given.concepts, trusted=trusted)
    return _say(manifest, given.shelf)


def _choose(text: str) -> tuple[str, Any]:
    """`a#b=true` as ("a#b", True); what is no JSON is text. No expression: a choice is a value."""
    item, _, value = text.partition("=")
    try:
        found = json.loads(value)
    except ValueError:
        found = value.lstrip("$%@")
    return item, found


def _map(given: argparse.Namespace) -> dict[str, Any]:
    found = find_manifests().get(given.what)
    if found is None or found.parent.parent != given.shelf:
        raise UnknownPipeline(f"no bundle {given.what!r} is installed under {given.shelf}")
    return _say(map_concepts(found.parent), given.shelf)


def _remove(given: argparse.Namespace) -> dict[str, Any]:
    return {"removed": str(remove_bundle(given.what, given.shelf))}


def _say(manifest: Manifest, shelf: Path) -> dict[str, Any]:
    home = shelf / f"{manifest.name}-{manifest.version}"
    return {
        "name": manifest.name,
        "version": manifest.version,
        "home": str(home),
        "lacks": manifest.lacks,
        "has_weights": any(Path(name).suffix in WEIGHTS for name in read_lock((home / LOCK).read_text("utf-8"))),
    }


if __name__ == "__main__":
    sys.exit(main())
