"""Where the judges' programs are, and what to install where one is not: the test that asked for it is skipped."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
R = TypeVar("R")

PACKAGES = {
    "dciodvfy": "Debian package dicom3tools",
    "dsrdump": "Debian package dcmtk",
    "dcmpschk": "Debian package dcmtk",
    "dcmp2pgm": "Debian package dcmtk",
    "segimage2itkimage": "PyPI package dcmqi",
    "tid1500reader": "PyPI package dcmqi",
    "javac": "Debian package openjdk-17-jdk-headless",
    "node": "Debian package nodejs",
}


def find(tool: str) -> str:
    """The path of `tool`; skips the running test, saying what to install, where there is none."""
    spec = find_spec("dcmqi")
    beside = Path(spec.origin).parent / "bin" / tool if spec and spec.origin else None
    if beside is not None and beside.is_file():
        return str(beside)
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed ({PACKAGES[tool]})")
    return found


def run(tool: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """`tool` with its output as text, whatever its exit status."""
    command = [find(tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout)


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` on every item, two at a time: what is waited for is another process."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))
