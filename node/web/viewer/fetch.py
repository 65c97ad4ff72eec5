"""The viewer's archive, by HTTPS or from a file, and whether it is the one that we know."""

import base64
import hashlib
import hmac
from pathlib import Path

import httpx

from node.errors import ViewerRefused
from node.web.viewer.package import INTEGRITY, MOST_BYTES, NAME, VERSION

TIMEOUT = httpx.Timeout(60)


def download(address: str, target: Path) -> None:
    """Writes what `address` answers. Raises ViewerRefused, with what to do, when it does not come or is too large."""
    size = 0
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=TIMEOUT) as answer, target.open("wb") as file:
            answer.raise_for_status()
            for piece in answer.iter_raw():
                size += len(piece)
                if size > MOST_BYTES:
                    raise ViewerRefused(f"{address} is larger than {MOST_BYTES:_} bytes: it is not {NAME} {VERSION}")
                file.write(piece)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"status {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else str(error)
        raise ViewerRefused(
            f"{address} was not to be had: {what}. npm's configuration names the registry; or fetch the archive on "
            f"another machine (npm pack {NAME}@{VERSION}) and give it by --from"
        ) from error


def check(archive: Path, integrity: str = INTEGRITY) -> None:
    """Raises ViewerRefused unless `archive` is, byte for byte, the one whose sha512 is `integrity`."""
    try:
        with archive.open("rb") as file:
            found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    except OSError as error:
        raise ViewerRefused(f"{archive} cannot be read: {error.strerror}") from error
    if not hmac.compare_digest(f"sha512-{found}", integrity):
        raise ViewerRefused(
            f"{archive.name} is not {NAME} {VERSION}: its sha512 is {found[:12]}…, not {integrity[7:19]}…. "
            "Nothing was installed"
        )
