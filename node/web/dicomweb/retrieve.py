"""WADO-RS of whole instances and of their metadata (PS3.18 10.4.1.1.1, 10.4.1.1.2).

In:  studies, series or instances by uid.   Out: their files as parts, one after the other, or their attributes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from node.ledger import Ledger
from node.web.dicomweb.index import Held, Index
from node.web.dicomweb.indexer import Indexer
from node.web.dicomweb.json_model import to_absolute
from node.web.dicomweb.media import DICOM, MULTIPART, Accepted, not_acceptable, read_accept
from node.web.dicomweb.models import answer_models, choose_form
from node.web.dicomweb.parts import Part, answer_parts, read_file, read_pieces, send_pieces
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.transcode import TARGETS, can_decode, transcode

AT_ONCE = 100
"""Models in memory."""

KEEP_AS_IS = ("", "*")
"""Transfer syntaxes asked for that mean: as it is stored."""


class Archive:
    """Finds instances by the uids of an address, and gives them. scratch: the folder on whose disk transcoded ones lie
    while they are sent."""

    def __init__(
        self, ledger: Ledger, index: Index, indexer: Indexer, find_root: Callable[[Request], str], scratch: Path
    ) -> None:
        self._ledger, self._index, self._indexer = ledger, index, indexer
        self._find_root = find_root
        self._scratch = scratch

    def find(self, request: Request) -> list[Held]:
        """What the address of `request` names. Raises Problem 404, or 410 where it was here and retention took it."""
        uids = [request.path_params.get(name, "") for name in ("study", "series", "instance")]
        held = self._index.find_held(*uids)
        if not held:
            self._indexer.catch_up()
            held = self._index.find_held(*uids)
        if not held:
            raise self._say_missing(*uids)
        return held

    def find_one(self, request: Request) -> Held:
        """The same of the address of an instance."""
        return self.find(request)[0]

    def answer_instances(self, request: Request) -> Response:
        """application/dicom, one part each; 206 where some cannot be had as asked, 406 where none can."""
        self._indexer.catch_up()
        held = self.find(request)
        accepted = [one for one in read_accept(request) if one.takes(DICOM)]
        if len(held) == 1 and accepted and accepted[0].multipart is False:
            return _answer_single(held[0], accepted, self._scratch)
        here = [(one, size) for one in held if (size := _measure(one.path)) is not None]
        if not here:
            raise Problem(410, "the files are no longer here")
        forms = [(one, size, _choose_syntax(one, accepted)) for one, size in here]
        parts = [_make_part(one, size, syntax, self._scratch) for one, size, syntax in forms if syntax is not None]
        if not parts:
            raise _not_to_be_had()
        return answer_parts(DICOM, parts, 200 if len(parts) == len(held) else 206)

    def answer_metadata(self, request: Request) -> Response:
        """All attributes, bulk data by reference."""
        form = choose_form(request)
        self._indexer.catch_up()
        held = self.find(request)
        root = self._find_root(request)
        return answer_models(form, self._read_models(held, root))

    def _read_models(self, held: Sequence[Held], root: str) -> Iterator[bytes]:
        for at in range(0, len(held), AT_ONCE):
            some = held[at : at + AT_ONCE]
            models = self._index.read_models([one.sop_instance_uid for one in some])
            for one in some:
                if (model := models.get(one.sop_instance_uid)) is not None:
                    yield to_absolute(model, f"{root}/{one.address}")

    def _say_missing(self, study: str, series: str, instance: str) -> Problem:
        known = self._ledger.find_instance(instance) if instance else None
        if known is not None and known.expired_at is not None:
            return Problem(410, f"instance {instance} was here, and its time is over")
        return Problem(404, f"there is no {'instance' if instance else 'series' if series else 'study'} of that uid")


def _answer_single(held: Held, accepted: Sequence[Accepted], scratch: Path) -> Response:
    """One instance without parts around it."""
    syntax = _choose_syntax(held, accepted)
    if syntax is None:
        raise _not_to_be_had()
    said = {"Content-Type": f"{DICOM}; transfer-syntax={syntax}"}
    if syntax != held.syntax:
        file = transcode(held.path, syntax, scratch)
        said["Content-Length"] = str(os.fstat(file.fileno()).st_size)
        return StreamingResponse(send_pieces(read_pieces(file)), headers=said)
    if not held.path.exists():
        raise Problem(410, f"instance {held.sop_instance_uid} is no longer here")
    return FileResponse(held.path, headers=said)


def _choose_syntax(held: Held, accepted: Sequence[Accepted]) -> str | None:
    """The transfer syntax in which `held` goes: as stored where that will do; None where nothing will."""
    for one in accepted:
        if one.syntax in KEEP_AS_IS or one.syntax == held.syntax:
            return held.syntax
        if one.syntax in TARGETS and can_decode(held.syntax):
            return one.syntax
    return None


def _measure(path: Path) -> int | None:
    """Bytes of the file; None when there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  a thousand in an answer
    except FileNotFoundError:
        return None


def _make_part(held: Held, size: int, syntax: str, scratch: Path) -> Part:
    kind = f"{DICOM}; transfer-syntax={syntax}"
    if syntax == held.syntax:
        return Part(kind, read_file(held.path), size, file=held.path)
    return Part(kind, _transcode(held.path, syntax, scratch))


def _transcode(path: Path, syntax: str, scratch: Path) -> Iterator[bytes]:
    """When its turn comes, not before."""
    yield from read_pieces(transcode(path, syntax, scratch))


def _not_to_be_had() -> Problem:
    return not_acceptable([f'{MULTIPART}; type="{DICOM}"; transfer-syntax={name}' for name in ("*", *TARGETS)])
