"""A bundle's process keeps memory while it answers, and gives it back afterwards."""

import os
import platform
import subprocess
import sys

import pytest

from pipelines.bundles.heap import KEEP

CODE = """
from pathlib import Path
from pipelines.bundles.confine import confine
from pipelines.bundles.heap import find_give_back
def find_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
give_back = find_give_back()
confine(Path("/nowhere"))
before = find_mb()
blocks = [bytearray(b"x") * 20_000_000 for _ in range(10)]
last = bytearray(1000)
del blocks
kept = find_mb() - before
give_back()
print(kept > 180, find_mb() - before < 60)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps what it will")
def test_freed_memory_is_kept_until_it_is_given_back():
    environment = dict(os.environ) | KEEP
    said = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "True True\n"
