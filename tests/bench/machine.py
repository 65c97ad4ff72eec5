"""The machine that measured, in words general enough to publish."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe(folder):
    """CPU, cores, memory, kernel, the file system of `folder`, and the versions of what was compared."""
    return {
        "cpu": _find_cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "filesystem": find_filesystem(folder),
        "python": platform.python_version(),
        "pynetdicom": version("pynetdicom"),
        "dcmtk": _say_version("storescp"),
        "orthanc": _say_version("Orthanc"),
    }


def find_filesystem(folder):
    """The type of the file system that holds `folder`."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    places = [(Path(place.replace("\\040", " ")), kind) for place, kind in mounts]
    return max((len(place.parts), kind) for place, kind in places if folder.is_relative_to(place))[1]


def _find_cpu():
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _say_version(program):
    """The first version number that a program prints of itself; "" when it is not installed."""
    if shutil.which(program) is None:
        return ""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return next((word.lstrip("v") for word in said.split() if word.lstrip("v")[:1].isdigit()), "")
