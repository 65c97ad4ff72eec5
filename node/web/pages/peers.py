"""`/peers`: how each other side is, and is it there right now?"""

import time

from starlette.requests import Request
from starlette.responses import Response

from node.config import Settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.outbound.echo import echo_peer
from node.outbound.stow import probe
from node.oversight.peers import list_peers
from node.web.access.who import note
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame


class PeerPages:
    """The list, and a button for each."""

    def __init__(self, settings: Settings, ledger: Ledger, frame: Frame) -> None:
        self._settings = settings
        self._ledger = ledger
        self._frame = frame

    def show(self, request: Request) -> Response:
        """GET /peers"""
        return self._render(request)

    def act(self, request: Request, _form: dict[str, str]) -> Response:
        """POST /peers/{name}/echo: asks, and says what was answered."""
        try:
            answer = ask_peer(self._settings, self._ledger, request.path_params["peer"])
            note(request, answer="well")
            return self._render(request, said=answer)
        except Problem as problem:
            note(request, answer=problem.detail)
            return self._render(request, problem)

    def _render(self, request: Request, problem: Problem | None = None, said: str = "") -> Response:
        return self._frame.render(
            request,
            "peers.html",
            problem.status if problem else 200,
            address="/peers",
            rows=list_peers(self._settings, self._ledger),
            peers=self._settings.peers,
            trouble=problem.detail if problem else "",
            said=said,
        )


def ask_peer(settings: Settings, ledger: Ledger, name: str) -> str:
    """What a peer answers to C-ECHO, or its DICOMweb server to a question; one that answers is sent at once what waits
    behind its open circuit. Raises Problem 404, 409, 502."""
    peer = settings.peers.get(name)
    if peer is None:
        raise Problem(404, "there is no such peer")
    if not peer.address and not peer.dicomweb:
        raise Problem(409, f"{name} calls us; we do not know where it is")
    try:
        if peer.address:
            echo_peer(settings.node.ae_title, peer)
            said = f"{peer.ae_title} at {peer.address} answers C-ECHO."
        else:
            said = probe(peer, settings.deliver.answer_wait.total_seconds())
    except PeerUnreachable as error:
        raise Problem(502, str(error)) from None
    ledger.hurry_circuit(name, time.time())
    return f"{name}: {said}"
