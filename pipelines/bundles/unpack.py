"""A bundle's files from a folder or a zip, and nothing else: no link, no path that leads out, no bomb."""

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pipelines.errors import BundleUnreadable

MOST_FILES = 2000
MOST_BYTES = 8 << 30
"""Weights of the largest bundles known have 3 GB."""
MOST_GROWTH = 200
"""A member of a zip that grows more than so many times is no weights and no text."""
SMALL = 1 << 20
DAMAGE = (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What zipfile and the file system raise at archives that are damaged, locked, of an unknown kind, or contradict
themselves: a member that is the folder of another."""
CARD = PurePosixPath("configs/metadata.json")


def unpack(source: Path, target: Path) -> None:
    """The files of the bundle at `source`, a folder or a zip, under the new folder `target`; configs/ lies directly in
    it. Raises BundleUnreadable that names the file at fault; then `target` may be incomplete."""
    target.mkdir(parents=True)
    if source.is_dir():
        try:
            _copy_folder(source, target)
        except OSError as error:
            raise BundleUnreadable(f"{source.name}: cannot be copied, {type(error).__name__}") from error
    elif source.is_file() and zipfile.is_zipfile(source):
        _unpack_zip(source, target)
    else:
        raise BundleUnreadable(f"{source.name}: neither a folder nor a zip")
    if not (target / CARD).is_file():
        raise BundleUnreadable(f"{source.name}: no {CARD} in it, so it is no MONAI bundle")


def _copy_folder(source: Path, target: Path) -> None:
    total = 0
    for number, path in enumerate(_walk(source), 1):
        name = path.relative_to(source).as_posix()
        total += path.stat().st_size
        _check_size(name, number, total)
        place = target / check_name(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place, follow_symlinks=False)


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below; hidden ones (.git, .DS_Store) are left out. Refuses what is neither file nor folder."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise BundleUnreadable(f"{path.name}: a link or a device, not a file")


def _unpack_zip(source: Path, target: Path) -> None:
    with _open_zip(source) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        names = [check_name(member.filename) for member in members]
        top = _find_top(names)
        total = 0
        for number, (member, name) in enumerate(zip(members, names, strict=True), 1):
            _check_size(member.filename, number, total)
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise BundleUnreadable(f"{member.filename}: a link or a device, not a file")
            if not name.is_relative_to(top) or name.name.startswith("."):
                continue
            place = target / name.relative_to(top)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, place.open("xb") as file:
                    total = _pour(packed, file, member, number, total)
            except DAMAGE as error:
                raise BundleUnreadable(f"{member.filename}: cannot be unpacked, {type(error).__name__}") from error


def _open_zip(source: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except DAMAGE as error:
        raise BundleUnreadable(f"{source.name}: its table of contents is damaged, {type(error).__name__}") from error


def _pour(packed: IO[bytes], file: IO[bytes], member: zipfile.ZipInfo, number: int, total: int) -> int:
    """Copies, and counts what really comes: the sizes in a zip are claims. Returns the new total."""
    grown = 0
    while piece := packed.read(1 << 20):
        grown += len(piece)
        _check_size(member.filename, number, total + grown)
        if grown > SMALL and grown > MOST_GROWTH * max(member.compress_size, 1):
            raise BundleUnreadable(f"{member.filename}: grows more than {MOST_GROWTH} times when unpacked")
        file.write(piece)
    return total + grown


def _check_size(name: str, number: int, total: int) -> None:
    if number > MOST_FILES:
        raise BundleUnreadable(f"{name}: more than {MOST_FILES} files")
    if total > MOST_BYTES:
        raise BundleUnreadable(f"{name}: more than {MOST_BYTES >> 30} GiB in all")


def check_name(name: str) -> PurePosixPath:
    """`name` as a path within a folder; raises BundleUnreadable for one that leads out of it."""
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and ":" not in name
    if not plain or path.is_absolute() or ".." in path.parts or not path.parts:
        raise BundleUnreadable(f"{name!r}: a path that leads out of the bundle, or is none")
    return path


def _find_top(names: list[PurePosixPath]) -> PurePosixPath:
    """The folder within the zip that is the bundle: where configs/metadata.json lies, nearest to the top."""
    tops = [name.parents[1] for name in names if PurePosixPath(*name.parts[-2:]) == CARD]
    return min(tops, key=lambda top: len(top.parts), default=PurePosixPath())
