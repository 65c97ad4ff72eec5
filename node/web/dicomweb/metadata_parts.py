"""Metadata and bulk data of an upload made into instances (PS3.18 8.7.3.2, 10.5.2): JSON first, its bulk data after it.

Bulk data goes to files, the JSON alone is held in memory, and of all uploads only one at a time is read.
"""

import json
import logging
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from pydicom import Dataset, dcmwrite

from node.dicom.write import new_file_meta
from node.errors import OutOfResources
from node.web.dicomweb.desk import Desk
from node.web.dicomweb.media import JSON, OCTETS
from node.web.dicomweb.upload import CANNOT_UNDERSTAND, NO_SUCH_SYNTAX, OUT_OF_RESOURCES, Judge, PartFile
from node.web.refusal import Refusal

log = logging.getLogger(__name__)

LONGEST_METADATA = 8 << 20
MOST_BRACKETS = 500_000
"""Lists and objects in it: in memory each is many times as long as in JSON."""

MOST_BULK = 20_000
MOST_OPEN = 64
"""Bulk data of one instance: each is an open file while that is written."""

READABLE = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
"""VRs of which pydicom writes a value from a file."""

LONGEST_VALUE = 1 << 20
"""Bytes of bulk data of any other VR, which is read."""

UNCOMPRESSED = frozenset({"", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})

_reading = Lock()


class _Unwritable(Exception):
    """An instance that cannot be made. reason: a Failure Reason."""

    def __init__(self, reason: int) -> None:
        super().__init__()
        self.reason = reason


class MetadataParts:
    """A part of JSON, and parts of bulk data named by their Content-Location."""

    def __init__(self, desk: Desk, judge: Judge) -> None:
        self._desk = desk
        self._judge = judge
        self._metadata: bytearray | None = None
        self._bulk: dict[str, PartFile] = {}
        self._file: PartFile | None = None
        self._compressed: set[str] = set()

    def begin(self, media_type: str, headers: dict[str, str]) -> None:
        """Raises Refusal: the first part is no metadata, or bulk data has no name, or one that is there."""
        if self._metadata is None:
            if media_type != JSON:
                raise Refusal(400, f"the first part is {media_type or 'of no type'}, not {JSON}", close=True)
            self._metadata = bytearray()
            return
        place = headers.get("content-location", "")
        if not place or place in self._bulk:
            raise Refusal(400, "bulk data without a Content-Location of its own", close=True)
        if len(self._bulk) >= MOST_BULK:
            raise Refusal(413, f"more than {MOST_BULK} parts of bulk data", close=True)
        if media_type != OCTETS:
            self._compressed.add(place)
        self._file = self._bulk[place] = PartFile(self._desk)

    def take(self, data: bytes) -> None:
        """Raises Refusal 413 when the metadata is too long."""
        if self._file is not None:
            self._file.take(data)
        elif self._metadata is not None:
            self._metadata += data
            if len(self._metadata) > LONGEST_METADATA:
                raise Refusal(413, f"metadata of more than {LONGEST_METADATA} bytes", close=True)

    def end(self) -> None:
        """Bulk data of odd length is padded (PS3.5 7.1.1)."""
        if self._file is not None:
            if self._file.size % 2:
                self._file.take(b"\0")
            with suppress(OutOfResources):
                self._file.close()
            self._file = None

    def finish(self) -> None:
        """Makes the instances. Raises Refusal: 400 when the metadata is no list of datasets, 413 for too many."""
        with _reading:
            for model in _parse(bytes(self._metadata or b"")):
                self._make(model)
        self.discard()

    def discard(self) -> None:
        """What was not made into instances goes."""
        for file in self._bulk.values():
            file.discard()
        self._bulk.clear()

    def _make(self, model: dict[str, Any]) -> None:
        part = Path(self._desk.spool.new_file())
        try:
            self._desk.spool.check_space()
            with ExitStack() as files, part.open("xb") as out:
                self._write(model, files, out)
        except _Unwritable as error:
            reason = error.reason
        except (OSError, OutOfResources):
            reason = OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001  pydicom raises what the values provoke, and says them
            log.warning("uploaded metadata cannot be written as a dataset: %s", type(error).__name__)
            reason = CANNOT_UNDERSTAND
        else:
            self._judge.admit(part)
            return
        part.unlink(missing_ok=True)
        self._judge.refuse(reason)

    def _write(self, model: dict[str, Any], files: ExitStack, out: BinaryIO) -> None:
        if not _is_uncompressed(model):
            raise _Unwritable(NO_SUCH_SYNTAX)
        opened = 0

        def find(_tag: str, vr: str, place: str) -> Any:
            nonlocal opened
            opened += 1
            if opened > MOST_OPEN:
                raise _Unwritable(CANNOT_UNDERSTAND)
            return self._open(vr, place, files)

        own = {tag: element for tag, element in model.items() if not tag.startswith("0002")}
        dataset = Dataset.from_json(own, find)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.file_meta = new_file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
        dcmwrite(out, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)

    def _open(self, vr: str, place: str, files: ExitStack) -> Any:
        if place in self._compressed:
            raise _Unwritable(NO_SUCH_SYNTAX)
        bulk = self._bulk.get(place)
        if bulk is None:
            raise _Unwritable(CANNOT_UNDERSTAND)
        if bulk.failure is not None:
            raise _Unwritable(OUT_OF_RESOURCES)
        if vr in READABLE:
            return files.enter_context(bulk.path.open("rb"))
        if bulk.size > LONGEST_VALUE:
            raise _Unwritable(CANNOT_UNDERSTAND)
        value = bulk.path.read_bytes()
        return value if vr == "UN" else value.decode("utf-8").rstrip("\0 ")


def _parse(metadata: bytes) -> list[dict[str, Any]]:
    if metadata.count(b"[") + metadata.count(b"{") > MOST_BRACKETS:
        raise Refusal(413, f"metadata of more than {MOST_BRACKETS} lists and objects")
    try:
        models = json.loads(metadata)
    except RecursionError:
        raise Refusal(400, "the metadata is nested too deeply") from None
    except ValueError:
        raise Refusal(400, "the metadata is no JSON") from None
    models = [models] if isinstance(models, dict) else models
    if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
        del models  # the trace of what is raised would hold it until the answer is given
        raise Refusal(400, "the metadata is no list of datasets (PS3.18 F.2)")
    return models


def _is_uncompressed(model: dict[str, Any]) -> bool:
    """What (0002,0010) or (0008,3002) says of the bulk data, if they say anything (PS3.18 10.5.2)."""
    for tag in ("00020010", "00083002"):
        element = model.get(tag, {})
        values = element.get("Value", []) if isinstance(element, dict) else []
        if any(str(value) not in UNCOMPRESSED for value in values):
            return False
    return True
