"""Lays the viewer under the node's home, whole or not at all."""

import gzip
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from node.errors import ViewerRefused
from node.web.viewer.fetch import check, download
from node.web.viewer.package import INTEGRITY, VERSION, find_address, find_wanted

BUNDLE = "app.bundle.*.js"
PACKED = ".gz"
PACKED_KINDS = frozenset({".js", ".css", ".wasm"})


def find_viewer(home: Path) -> Path | None:
    """The folder of the installed viewer of our version, None without one."""
    folder = home / "viewer" / VERSION
    return folder if folder.is_dir() else None


def install(home: Path, archive: Path | None = None, integrity: str = INTEGRITY) -> Path:
    """The folder with the viewer from `archive`, else from the registry. What was there is replaced in the end.

    Raises ViewerRefused when the archive does not come, is not the one, or there is no space for it.
    """
    parent = home / "viewer"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=parent) as name:
            part = Path(name)
            if archive is None:
                archive = part / "archive.tgz"
                download(find_address(), archive)
            check(archive, integrity)
            _unpack(archive, part / VERSION)
            os.sync()
            _remove_but(parent, part)
            (part / VERSION).rename(parent / VERSION)
    except OSError as error:
        raise ViewerRefused(f"{parent} cannot be written: {error.strerror}") from error
    return parent / VERSION


def remove(home: Path) -> bool:
    """Whether there was anything to remove."""
    if not (home / "viewer").is_dir():
        return False
    shutil.rmtree(home / "viewer")
    return True


def find_size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        for member, name in _list_wanted(tar):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None  # of a regular file there is content
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    if not list(folder.glob(BUNDLE)):
        raise ViewerRefused(f"{archive.name} holds no {BUNDLE}")
    for path in sorted(folder.iterdir()):
        if path.suffix in PACKED_KINDS:
            path.with_name(path.name + PACKED).write_bytes(gzip.compress(path.read_bytes(), 6))


def _list_wanted(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    for member in tar:
        if member.isfile() and (name := find_wanted(member.name)):
            yield member, name


def _remove_but(parent: Path, part: Path) -> None:
    for old in parent.iterdir():
        if old != part:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
