"""NAME@VERSION from the MONAI Model Zoo. The one place of the mind that asks the network for something, at the wish of
the person who types it; what comes is treated like any other folder: scanned, pinned, mapped."""

import re
from pathlib import Path

from pipelines.errors import BundleUnreadable


def download(wanted: str, folder: Path) -> Path:
    """The bundle `wanted`, NAME@VERSION, below `folder`. Raises BundleUnreadable when it cannot be had."""
    if not re.fullmatch(r"\w+@[\w.]+", wanted):
        raise BundleUnreadable(f"{wanted!r} is neither a file nor NAME@VERSION of the Model Zoo")
    name, _, version = wanted.partition("@")
    from monai.bundle import download as fetch

    try:
        fetch(name=name, version=version, bundle_dir=str(folder), source="monaihosting", progress=False)
    except Exception as error:  # requests, urllib and MONAI raise what the network provokes
        raise BundleUnreadable(
            f"{wanted} cannot be downloaded ({type(error).__name__}): without a way to the internet, download it "
            "elsewhere and add the folder or zip"
        ) from error
    if not (folder / name).is_dir():
        raise BundleUnreadable(f"{wanted}: the Model Zoo sent no folder {name}")
    return folder / name
