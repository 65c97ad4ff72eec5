"""Counts for Prometheus, read from the ledger at the moment of asking: no counter can drift from the truth."""

import time
from collections import Counter

from node.ledger import Ledger
from node.model.study import StudyState
from node.oversight.workers import render_workers


def render_metrics(ledger: Ledger, free_bytes: float) -> str:
    """The text exposition format, version 0.0.4."""
    jobs = Counter((job.pipeline, job.state.value) for job in ledger.find_jobs())
    deliveries = Counter((d.destination, d.state.value) for d in ledger.find_deliveries())
    studies = Counter(study.state.value for study in ledger.find_studies())
    lines = ["# TYPE wetread_jobs gauge"]
    lines += [f'wetread_jobs{{pipeline="{p}",state="{s}"}} {n}' for (p, s), n in sorted(jobs.items())]
    lines.append("# TYPE wetread_deliveries gauge")
    lines += [f'wetread_deliveries{{destination="{d}",state="{s}"}} {n}' for (d, s), n in sorted(deliveries.items())]
    lines += _render_circuits(ledger)
    lines += _render_hooks(ledger)
    lines += render_workers(ledger, time.time())
    lines.append("# TYPE wetread_studies gauge")
    lines += [f'wetread_studies{{state="{state.value}"}} {studies[state.value]}' for state in StudyState]
    lines.append("# TYPE wetread_instances gauge")
    lines.append(f"wetread_instances {ledger.count_instances()}")
    lines.append("# TYPE wetread_door_total counter")
    lines += [f'wetread_door_total{{what="{what}"}} {n}' for what, n in sorted(ledger.find_counts().items())]
    lines.append("# TYPE wetread_quarantined gauge")
    lines.append(f"wetread_quarantined {len(ledger.find_quarantined())}")
    lines.append("# TYPE wetread_spool_free_bytes gauge")
    lines.append(f"wetread_spool_free_bytes {free_bytes:.0f}")
    return "\n".join(lines) + "\n"


def _render_hooks(ledger: Ledger) -> list[str]:
    """Of each webhook whether it is told, and what of it waits or was given up."""
    lines = ["# TYPE wetread_webhook_paused gauge"]
    lines += [f'wetread_webhook_paused{{hook="{n}"}} {int(h.paused_at > 0)}' for n, h in ledger.find_hooks().items()]
    lines.append("# TYPE wetread_webhook_events gauge")
    for name, told in sorted(ledger.count_notices().items()):
        counts = {"PENDING": told.waiting, "SENT": told.sent, "DEAD": told.dead}
        lines += [f'wetread_webhook_events{{hook="{name}",state="{state}"}} {n}' for state, n in counts.items()]
    return lines


def _render_circuits(ledger: Ledger) -> list[str]:
    """Of each destination whether it is reached, and since when the oldest of what it has not confirmed waits."""
    now, lines = time.time(), ["# TYPE wetread_circuit_open gauge"]
    for peer, circuit in sorted(ledger.find_circuits().items()):
        lines.append(f'wetread_circuit_open{{destination="{peer}"}} {int(circuit.is_open)}')
    lines.append("# TYPE wetread_backlog_oldest_seconds gauge")
    for peer, backlog in sorted(ledger.find_backlogs().items()):
        age = max(now - (backlog.oldest_at or now), 0.0)
        lines.append(f'wetread_backlog_oldest_seconds{{destination="{peer}"}} {age:.0f}')
    return lines
