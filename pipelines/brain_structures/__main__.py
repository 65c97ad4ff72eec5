"""`python -m pipelines.brain_structures FOLDER [FILE]`: the pinned weights into FOLDER, from FILE or by download.

FOLDER is `pipelines/weights` in the node's home, or one that WETREAD_WEIGHTS names.
"""

import sys
from pathlib import Path

from pipelines.brain_structures.pipeline import pipeline
from pipelines.brain_structures.weights import install
from pipelines.errors import PipelineError


def main(arguments: list[str]) -> int:
    """The exit code: 0 installed, 1 not, 2 wrong words."""
    if len(arguments) not in (1, 2):
        sys.stderr.write(f"{__doc__}")
        return 2
    source = Path(arguments[1]) if len(arguments) == 2 else None
    try:
        path = install(Path(arguments[0]), pipeline.manifest.weights_sha256, source)
    except PipelineError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
