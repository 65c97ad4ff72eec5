"""The pins of an installed bundle: the sha256 of every file, as `sha256sum -c` reads them."""

import hashlib
from pathlib import Path

from pipelines.errors import BundleChanged

LOCK = "bundle.sha256"


def get_sha256(path: Path) -> str:
    """The sha256 of a file, 64 hex digits. Not that of pipelines.weights, which imports torch: bundles are installed
    where there is none, too."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_lock(folder: Path) -> str:
    """One line "sha256  path" for each file below `folder`, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{get_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def read_lock(text: str) -> dict[str, str]:
    """Path -> sha256 of what make_lock wrote."""
    return {path: sha for sha, path in (line.split("  ", 1) for line in text.splitlines())}


def check_lock(folder: Path, text: str) -> None:
    """Raises BundleChanged when a file below `folder` is another than pinned, is missing, or came later."""
    pinned, found = read_lock(text), read_lock(make_lock(folder))
    for path in sorted(pinned.keys() | found.keys()):
        if path not in found:
            raise BundleChanged(f"{path} is missing; pinned is sha256 {pinned[path]}")
        if path not in pinned:
            raise BundleChanged(f"{path} is not one of the files that were installed (sha256 {found[path]})")
        if pinned[path] != found[path]:
            raise BundleChanged(f"{path} has sha256 {found[path]}, pinned is {pinned[path]}")


def read_pinned(folder: Path, path: str, pinned: dict[str, str]) -> bytes:
    """The file `path` of the bundle in `folder`. The bytes that are hashed are the bytes that are returned: nobody can
    change the file in between. Raises BundleChanged."""
    if path not in pinned:
        raise BundleChanged(f"{path} is not one of the files that were installed")
    content = (folder / path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != pinned[path]:
        raise BundleChanged(f"{path} has sha256 {found}, pinned is {pinned[path]}")
    return content
