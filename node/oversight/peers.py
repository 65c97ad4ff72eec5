"""How each peer is: who sends to whom, when it was last heard from, its circuit, and what waits for it."""

from dataclasses import asdict, dataclass

from node.config import Settings
from node.ledger import Ledger
from node.model.circuit import Backlog, Circuit


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One peer. direction: "to us", "from us", "both" or "". heard_at: when it last called us or answered us;
    opened_at: since when its circuit is open; oldest_at: since when the oldest delivery waits: epoch seconds or None.
    waiting: deliveries that it has not taken; unconfirmed: those that it has not confirmed."""

    name: str
    direction: str
    heard_at: float | None
    answer: str
    circuit: str
    opened_at: float | None
    next_at: float | None
    failures: int
    waiting: int
    unconfirmed: int
    oldest_at: float | None

    def to_dict(self) -> dict[str, str | int | float | None]:
        """For JSON."""
        return asdict(self)


def list_peers(settings: Settings, ledger: Ledger) -> list[PeerRow]:
    """By name: those that are configured, and those that are not any more but for which something waits."""
    circuits, backlogs, calls = ledger.find_circuits(), ledger.find_backlogs(), ledger.find_last_calls()
    served = {name for route in settings.routes for name in route.deliver}
    rows = []
    for name in sorted({*settings.peers, *backlogs}):
        peer = settings.peers.get(name)
        sends = peer is not None and peer.send
        direction = {(True, True): "both", (True, False): "to us", (False, True): "from us"}
        called = calls.get(peer.ae_title, 0.0) if peer is not None and peer.ae_title else 0.0
        circuit, backlog = circuits.get(name, Circuit(name)), backlogs.get(name, Backlog())
        way = direction.get((sends, name in served or name in backlogs), "")
        rows.append(_row(name, way, called, circuit, backlog))
    return rows


def _row(name: str, direction: str, called: float, circuit: Circuit, backlog: Backlog) -> PeerRow:
    return PeerRow(
        name=name,
        direction=direction,
        heard_at=max(called, circuit.heard_at) or None,
        answer=circuit.answer,
        circuit="open" if circuit.is_open else "closed",
        opened_at=circuit.opened_at or None,
        next_at=circuit.next_at if circuit.is_open else None,
        failures=circuit.failures,
        waiting=backlog.waiting,
        unconfirmed=backlog.unconfirmed,
        oldest_at=backlog.oldest_at,
    )
