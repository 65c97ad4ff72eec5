"""A series stored by STOW-RS in one request, as a modality's gateway sends it: built up from the files, read once."""

import time

from receivers import CannotMeasure
from web_servers import PATIENCE

BOUNDARY = "part-of-a-study"
KIND = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
TAIL = f"--{BOUNDARY}--\r\n".encode()
JSON = "application/dicom+json"


def store(client, paths, search):
    """Instances a second, from the first byte sent to the receipt. search: address that finds the instances.

    Both servers then index in their own time: the next one has its turn when all are to be found.
    """
    parts = [HEAD + path.read_bytes() + b"\r\n" for path in paths]
    length = sum(len(part) for part in parts) + len(TAIL)
    began = time.perf_counter()
    status, receipt = client.post("/studies", (*parts, TAIL), {"Content-Type": KIND, "Content-Length": str(length)})
    seconds = time.perf_counter() - began
    if status != 200:
        raise CannotMeasure(f"STOW is answered with {status}: {receipt[:300]!r}")
    until = time.monotonic() + PATIENCE
    while client.get(f"{search}?limit=1&offset={len(paths) - 1}", JSON)[0] != 200:
        if time.monotonic() > until:
            raise CannotMeasure(f"of {len(paths)} instances not all are to be found")
        time.sleep(0.05)
    return len(paths) / seconds
