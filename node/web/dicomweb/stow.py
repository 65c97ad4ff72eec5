"""STOW-RS: instances come by HTTP (PS3.18 10.5). What is kept and what is refused the listener's own judgment says.

In:  POST /studies or /studies/{study}, multipart/related of application/dicom, or of metadata and bulk data.
Out: the receipt of `receipt`, as JSON or XML. 200 is said only of instances whose bytes are synced under their final
name and whose rows are written.
"""

import asyncio
import json
import logging
import re
from functools import partial

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.config import Settings
from node.dicom.multipart import Malformed, MediaType, parse_media_type
from node.inbound.traffic import Lane
from node.sections import Callers
from node.security.access import Admission, Caller
from node.web.access.who import Who, find_who, note
from node.web.body import gather
from node.web.dicomweb.desk import RETRY_AFTER, Desk
from node.web.dicomweb.media import DICOM, JSON, MULTIPART, XML, choose, read_accept
from node.web.dicomweb.metadata_parts import MetadataParts
from node.web.dicomweb.place import find_root
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.receipt import find_status, make_receipt
from node.web.dicomweb.upload import STORED, DicomParts, Judge, Order, Upload, Verdict
from node.web.dicomweb.xml_model import to_xml
from node.web.protocol import TAKE, Take
from node.web.refusal import Refusal, answer_refusal

log = logging.getLogger(__name__)

LONG = 1 << 20
"""Bytes of a body that is worth a thread's turns of its own."""

AT_ONCE = 16
"""Uploads that write to the disk at one moment; others wait, and their senders with them."""

UID = re.compile(r"[0-9][0-9.]{0,63}")


class Stow:
    """`store` answers POST; `base`: the path of the DICOMweb service."""

    def __init__(self, settings: Settings, desk: Desk, base: str) -> None:
        self._settings = settings
        self._desk = desk
        self._base = base
        self._hands = CapacityLimiter(AT_ONCE)

    async def store(self, request: Request) -> Response:
        """Starlette's endpoint."""
        try:
            response, verdicts = await self._answer(request, find_who(request), request.path_params.get("study", ""))
        except Problem as problem:
            return answer_refusal(request, problem)
        studies = sorted({verdict.identity.study_uid for verdict in verdicts if verdict.identity})
        stored = sum(verdict.reason == STORED for verdict in verdicts)
        note(request, uid=" ".join(studies), stored=stored, refused=len(verdicts) - stored)
        return response

    async def _answer(self, request: Request, who: Who, study_uid: str) -> tuple[Response, list[Verdict]]:
        if study_uid and not UID.fullmatch(study_uid):
            raise Refusal(400, "the study of the address is no UID", close=True)
        kind, _ = choose(read_accept(request), [(JSON, False), (XML, False)])
        media_type = _check_head(request, self._desk.max_bytes)
        order = Order(find_admission(self._settings, who), study_uid)
        if not order.admission.may_store:
            raise Refusal(403, "this peer may not send to us: peers.*.send is false", close=True)
        with self._desk.seat(order.admission.caller.ae_title) as lane:
            try:
                upload = _begin(self._desk, order, lane, media_type)
            except Malformed as error:
                raise Refusal(400, str(error), close=True) from None
            verdicts = await self._take(request, upload)
        receipt = make_receipt(verdicts, find_root(request, self._settings.web.public_url) + self._base)
        status = find_status(verdicts)
        content = to_xml(receipt) if kind == XML else json.dumps(receipt).encode()
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}
        return Response(content, status, headers, kind), verdicts

    async def _take(self, request: Request, upload: Upload) -> list[Verdict]:
        """The verdicts, when the whole body was read; whatever ends it before, nothing half-written stays."""
        work = partial(run_sync, limiter=self._hands)
        try:
            await self._feed(request, upload)
            return await work(upload.finish)
        except Malformed as error:
            stored = await work(upload.abort)
            raise Refusal(400, f"{error}; {stored} instances before that were stored", close=True) from None
        except TimeoutError:
            raise Refusal(408, "the body did not go on", close=True) from None
        except (ClientDisconnect, ConnectionError):
            raise Refusal(400, "the sender broke off", close=True) from None
        finally:
            with anyio.CancelScope(shield=True):
                await work(upload.abort)

    async def _feed(self, request: Request, upload: Upload) -> None:
        """The body to `upload`, past the event loop where it is long and that can be."""
        length = int(request.headers.get("content-length", "0"))
        take: Take | None = request.scope.get("extensions", {}).get(TAKE)
        if take is not None and length >= LONG:
            await take(upload.feed, length, self._desk.patience, self._hands)
            return
        feeding = asyncio.ensure_future(_nothing())
        try:
            async for pieces in gather(request, self._desk.patience):
                await feeding
                feeding = asyncio.ensure_future(run_sync(upload.feed, pieces, limiter=self._hands))  # while more comes
            await feeding
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.gather(feeding, return_exceptions=True)


async def _nothing() -> None:
    """What is under way before the first bytes came."""


def find_admission(settings: Settings, who: Who) -> Admission:
    """What `who` may send, and as whom: the AE title of the peer whose `web_user` it is, else "web:" and its name."""
    for peer in settings.peers.values():
        if peer.web_user and peer.web_user == who.name:
            caller = Caller(peer.ae_title, who.address)
            return Admission(caller, peer.send, frozenset(peer.sop_classes), frozenset(peer.transfer_syntaxes))
    known = not who.is_anonymous or settings.listen.unknown_callers != Callers.NONE
    return Admission(Caller(f"web:{who.name}"[:16], who.address), may_store=known)


def _check_head(request: Request, max_bytes: int) -> MediaType:
    """What the header lines alone tell. Raises Refusal."""
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise Refusal(411, "neither Content-Length nor chunks: there is no body")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "the body is compressed as a whole; only its instances may be", close=True)
    media_type = parse_media_type(headers.get("content-type", ""))
    if media_type.name != MULTIPART or media_type.parameters.get("type", DICOM).lower() not in {DICOM, JSON}:
        raise Refusal(415, f'not {MULTIPART}; type="{DICOM}", nor type="{JSON}"', close=True)
    if "boundary" not in media_type.parameters:
        raise Refusal(400, "the Content-Type has no boundary", close=True)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > max_bytes:
        raise Refusal(413, "the request has more than listen.max_association_gb", close=True)
    return media_type


def _begin(desk: Desk, order: Order, lane: Lane, media_type: MediaType) -> Upload:
    judge = Judge(desk, order, lane)
    is_metadata = media_type.parameters.get("type", DICOM).lower() == JSON
    sink = MetadataParts(desk, judge) if is_metadata else DicomParts(desk, judge)
    return Upload(desk, judge, sink, media_type.parameters["boundary"])
