"""Files that are whole or not there: written beside, synced, renamed, directory synced."""

import os
from pathlib import Path


def sync_directory(folder: Path) -> None:
    """Makes renames and new names in `folder` survive power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def place_file(source: Path, target: Path) -> None:
    """Moves `source` to `target` on the same file system so that after return the bytes are kept under that name."""
    with source.open("rb+") as file:
        os.fsync(file.fileno())
    source.replace(target)
    sync_directory(target.parent)
