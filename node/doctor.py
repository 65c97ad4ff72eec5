"""Is this installation sound? Each check is one sentence that an administrator can act on."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from sqlalchemy.exc import SQLAlchemyError

from node.config import Settings, find_file
from node.durable import sync_directory
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.ledger.integrity import ADVICE, find_damage
from node.outbound.echo import echo_peer
from node.outbound.stow import probe
from node.outbound.telling.knock import knock
from node.oversight.health import broker_answers, find_shortage
from node.premises import find_lacking
from node.sections import CountBy, Hl7Tls, Peer, PerformHow, Receiver, Tls
from node.security.tls import find_end

NEWEST = 20
"""Studies whose files are looked for."""
LEAST_DAYS = 14
"""That a certificate of ours must still hold: time enough to be given another."""
TLS_PATIENCE = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, whether it is well, and what was seen."""

    what: str
    well: bool
    seen: str


def examine(settings: Settings, ledger: Ledger) -> Iterator[Check]:
    """All checks, cheap ones first."""
    yield _check_configuration(settings)
    yield _check_home(settings.node.home)
    shortage = find_shortage(settings)
    yield Check(
        "disk", not shortage, shortage or f"more than listen.min_free_mb = {settings.listen.min_free_mb} is free"
    )
    yield _check_ledger(ledger)
    yield _check_pages(settings.ledger_url)
    yield _check_spool(settings, ledger)
    if settings.queue.url:
        well = broker_answers(settings.queue.url)
        yield Check("broker", well, "answers" if well else "does not answer: check queue.url and the server")
    else:
        yield Check("broker", True, "embedded, started by `wetread up`")
    near = _find_near(settings.node.listen)
    yield _check_echo("door", settings, Peer(ae_title=settings.node.ae_title, address=near))
    if settings.listen.tls is not None:
        yield _check_tls("door by TLS", settings.listen.tls.address, settings.listen.tls)
    if settings.hl7.tls is not None and settings.hl7.listen:
        yield _check_tls("door of orders by TLS", settings.hl7.listen, settings.hl7.tls)
    for name, peer in settings.peers.items():
        if peer.address:
            yield _check_peer(settings, name, peer)
        if peer.dicomweb:
            yield _check_web(f"peer {name}", settings, peer)
    for name, receiver in settings.messages.items():
        yield _check_receiver(f"receiver {name}", settings, receiver)
    yield from _check_circuits(ledger)
    yield from _check_hands(settings)


def _check_configuration(settings: Settings) -> Check:
    lacking = find_lacking(settings)
    read = find_file(os.environ) or "no wetread.toml: defaults alone"
    return Check("configuration", not lacking, "; ".join(lacking) or str(read))


def _check_home(home: Path) -> Check:
    try:
        with NamedTemporaryFile(dir=home) as file:
            file.write(b"wetread")
            file.flush()
            sync_directory(home)
    except OSError as error:
        return Check("home", False, f"{home} cannot be written: {error.strerror}")
    return Check("home", True, f"{home} can be written and synced")


def _check_ledger(ledger: Ledger) -> Check:
    try:
        return Check("ledger", True, f"readable, {sum(ledger.count_states().values())} jobs")
    except SQLAlchemyError as error:
        return Check("ledger", False, f"not readable: {type(error).__name__}")


def _check_pages(url: str) -> Check:
    damage = find_damage(url)
    return Check("ledger's pages", not damage, f"damaged: {damage}. {ADVICE}" if damage else "sound")


def _check_spool(settings: Settings, ledger: Ledger) -> Check:
    """A ledger that was restored without its spool would be noticed by the next job alone."""
    try:
        studies = ledger.list_studies("", "", None, NEWEST)
        paths = [one.path for study in studies for one in ledger.find_instances(study.study_uid)]
    except SQLAlchemyError as error:
        return Check("spool", False, f"the ledger does not say what is in it: {type(error).__name__}")
    lost = sum(not (settings.spool / path).is_file() for path in paths)
    of = f"{len(paths)} images of the newest {len(studies)} studies"
    seen = f"{lost} of {of} are not in {settings.spool}: was it restored with the ledger?" if lost else f"has all {of}"
    return Check("spool", not lost, seen)


def _check_echo(what: str, settings: Settings, peer: Peer) -> Check:
    try:
        echo_peer(settings.node.ae_title, peer)
    except PeerUnreachable as error:
        return Check(what, False, str(error))
    by = " by TLS" if peer.tls else ""
    return Check(what, True, f"{peer.ae_title} at {peer.address} answers C-ECHO{by}")


def _find_near(listen: str) -> str:
    """Where a door that listens at `listen` is called on this machine."""
    host, port = listen.rsplit(":", 1)
    return f"127.0.0.1:{port}" if host == "0.0.0.0" else listen  # noqa: S104  compared, not bound


def _check_tls(what: str, listen: str, tls: Tls | Hl7Tls) -> Check:
    near = _find_near(listen)
    host, port = near.rsplit(":", 1)
    try:
        days = (find_end((host, int(port)), tls.certificate, TLS_PATIENCE) - time.time()) / 86400
    except PeerUnreachable as error:
        return Check(what, False, f"{near}: {error}")
    return Check(what, days >= LEAST_DAYS, f"{near} shows {tls.certificate}, which ends in {days:.0f} days")


def _check_peer(settings: Settings, name: str, peer: Peer) -> Check:
    """Many scanners send and let nobody call them: one of whom nothing is wanted need not answer."""
    check = _check_echo(f"peer {name}", settings, peer)
    if check.well or _is_called(settings, name, peer):
        return check
    return Check(check.what, True, f"does not answer C-ECHO; it only sends, so need not: {check.seen}")


def _is_called(settings: Settings, name: str, peer: Peer) -> bool:
    """True when the node calls it: a destination, or somebody to be asked or told."""
    routes = [{*route.deliver, *(route.gather.sources if route.gather else ())} for route in settings.routes]
    asked = peer.query or peer.count_by != CountBy.NONE or peer.perform.how != PerformHow.NONE
    told = peer.worklist or peer.availability or peer.workitems
    return any(name in called for called in routes) or asked or told


def _check_web(what: str, settings: Settings, peer: Peer) -> Check:
    try:
        return Check(what, True, probe(peer, settings.deliver.answer_wait.total_seconds()))
    except PeerUnreachable as error:
        return Check(what, False, str(error))


def _check_receiver(what: str, settings: Settings, receiver: Receiver) -> Check:
    """Whether it can be reached; nothing is told."""
    try:
        seen = knock(receiver, settings.deliver.answer_wait.total_seconds())
    except PeerUnreachable as error:
        return Check(what, False, str(error))
    return Check(what, True, seen)


def _check_circuits(ledger: Ledger) -> Iterator[Check]:
    """Those that are open: nothing goes to their peer but a try now and then."""
    for name, circuit in sorted(ledger.find_circuits().items()):
        if circuit.is_open:
            since, then = (datetime.fromtimestamp(at, UTC) for at in (circuit.opened_at, circuit.next_at))
            times = f"open since {since:%Y-%m-%d %H:%M:%S} UTC, next try {then:%H:%M:%S}"
            yield Check(f"circuit {name}", False, f"{times}: {circuit.answer}")


def _check_hands(settings: Settings) -> Iterator[Check]:
    """Torch, device and weights are the workers' side: asked in a process of its own."""
    names = sorted({route.pipeline for route in settings.routes})
    command = [sys.executable, "-m", "workers.doctor", settings.work.device, *names]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    for line in answer.stdout.splitlines():
        well, what, seen = line.split("\t", 2)
        yield Check(what, well == "well", seen)
    if answer.returncode:
        yield Check("workers", False, answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "no answer")
