"""Prints what the node's side needs: the dependencies in pyproject.toml less those that only a worker imports.

    python node_requirements.py pyproject.toml > requirements.txt

A list of its own would grow stale; and a name below that is no dependency any more stops the build.
"""

import re
import sys
import tomllib
from pathlib import Path

WORKER_ONLY = {"torch", "monai", "safetensors", "simpleitk"}


def find_requirements(pyproject: Path) -> list[str]:
    """The requirement lines for a node without workers. Raises SystemExit when WORKER_ONLY is out of date."""
    lines: list[str] = tomllib.loads(pyproject.read_text("utf-8"))["project"]["dependencies"]
    names = {line: re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in lines}
    if stale := WORKER_ONLY - set(names.values()):
        raise SystemExit(f"{', '.join(sorted(stale))}: no dependency in {pyproject}; change WORKER_ONLY")
    return [line for line in lines if names[line] not in WORKER_ONLY]


if __name__ == "__main__":
    sys.stdout.write("\n".join(find_requirements(Path(sys.argv[1]))) + "\n")
