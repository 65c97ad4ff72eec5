"""Weights of brainchop's 18-class network (MIT license): installed by a person's wish, pinned, never fetched by a run.

The published file is called model.pth and holds safetensors: tensors alone, no pickle and so no code.
"""

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from pipelines.errors import WeightsMismatch, WeightsMissing
from pipelines.terms import get_shelf
from pipelines.weights import get_sha256

NAME = "brain-structures.safetensors"
VARIABLE = "WETREAD_WEIGHTS"
"""Names a folder with NAME in it; else it lies in the folder `weights` of the node's pipelines."""
SOURCE = (
    "https://raw.githubusercontent.com/neuroneural/brainchop-models/"
    "3d81b598b4c3d09e61d8a3664247fc939ccd384c/meshnet/model18cls/model.pth"
)
TIMEOUT_S = 60.0


def find_weights() -> Path:
    """The installed file, not yet checked. Raises WeightsMissing that says how to install it."""
    folder = find_folder()
    if folder is not None and (folder / NAME).is_file():
        return folder / NAME
    place = "FOLDER" if folder is None else str(folder)
    also = f", and name FOLDER in {VARIABLE}" if folder is None else ""
    raise WeightsMissing(
        f"brain-structures needs the weights of brainchop (MIT): python -m pipelines.brain_structures {place}{also}"
    )


def find_folder() -> Path | None:
    """Where the weights are looked for; None where neither the environment nor a configuration says so."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    shelf = get_shelf().folder
    return shelf / "weights" if shelf is not None else None


def install(folder: Path, sha256: str, source: Path | None = None) -> Path:
    """The weights under their name in `folder`, from the file `source` or by download from SOURCE.

    Raises WeightsMissing when they cannot be had, WeightsMismatch when they are not the pinned ones; nothing is then
    installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=folder) as place:
        fresh = Path(place) / NAME
        _get(fresh, source)
        found = get_sha256(fresh)
        if found != sha256:
            raise WeightsMismatch(f"{source or SOURCE} has sha256 {found}, the manifest pins {sha256}")
        return fresh.replace(folder / NAME)


def _get(target: Path, source: Path | None) -> None:
    try:
        if source is not None:
            shutil.copyfile(source, target)
            return
        with urllib.request.urlopen(SOURCE, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsMissing(
            f"the weights cannot be had ({type(error).__name__}): without a way to the internet, download {SOURCE} "
            "elsewhere and give the file"
        ) from error
