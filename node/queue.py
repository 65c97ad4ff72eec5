"""What wakes a worker: a task name and a job id, nothing more. The ledger is the truth; this is the doorbell."""

from collections.abc import Sequence

from celery import Celery

from node.model.job import Job, Priority
from pipelines.terms import get_manifest

RUN = "wetread.run"
LANES = ("gpu", "cpu", "io")
STEPS = {Priority.STAT: 0, Priority.ROUTINE: 4, Priority.OFF_PEAK: 8}
"""Redis transport: 0 is served first."""

GRACE = 30
"""Seconds between asking a job that ran out of time to stop and killing its process."""


def make_app(url: str) -> Celery:
    """The Celery application that both sides share: JSON only, late acknowledgement, one message at a time.

    visibility_timeout is long on purpose: a lost wake-up is the ledger's business (leases, ringing again), and a short
    one would start a long job twice.
    """
    app = Celery("wetread", broker=url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_default_queue="gpu",
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=120,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_retry=True,
        broker_transport_options={
            "visibility_timeout": 24 * 3600,
            "priority_steps": sorted(STEPS.values()),
            "queue_order_strategy": "priority",
            "socket_connect_timeout": 2,
            "socket_timeout": 30,
            "max_retries": 1,
        },
    )
    return app


class Doorbell:
    """Rings for jobs. Losing a ring is harmless: housekeeping rings again."""

    def __init__(self, url: str) -> None:
        self._app = make_app(url)

    def ring(self, jobs: Sequence[Job]) -> None:
        """One message per job. Raises OSError-like errors of the transport when the broker is away."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            for job in jobs:
                limit = get_manifest(job.pipeline).time_limit_s
                self._app.send_task(
                    RUN,
                    args=[job.id],
                    queue=job.lane,
                    priority=STEPS[job.priority],
                    connection=connection,
                    soft_time_limit=limit,
                    time_limit=limit + GRACE,
                    retry=False,
                    ignore_result=True,
                )
