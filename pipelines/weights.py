"""Weights from disk: safetensors only (no pickle, so no code), and only the file that the manifest pins."""

import hashlib
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from pipelines.errors import WeightsMismatch, WeightsMissing


def load_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of the safetensors file at `path`, on the CPU, by name.

    Raises WeightsMissing when there is no file, WeightsMismatch when its sha256 (hex) is not `sha256`.
    """
    if not path.is_file():
        raise WeightsMissing(f"{path.name} is not installed beside its pipeline")
    found = get_sha256(path)
    if found != sha256.lower():
        raise WeightsMismatch(f"{path.name} has sha256 {found}, the manifest pins {sha256}")
    return load_file(path)


def get_sha256(path: Path) -> str:
    """The sha256 of the file at `path`, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
