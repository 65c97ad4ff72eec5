"""What wakes a worker: the name of a lane, nothing more. The ledger is the truth; this is the doorbell.

A ring says that a job waits, not which: whoever hears it claims the most urgent one then. So a job that becomes urgent
while it waits, or comes later and is, needs no other ring.
"""

from collections.abc import Mapping

from celery import Celery
from kombu import Connection

RUN = "wetread.run"
LANES = ("gpu", "cpu", "io")

MOST = 1000
"""Rings of one lane that the broker holds: as many as workers could hear until housekeeping rings again."""


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
            "socket_connect_timeout": 2,
            "socket_timeout": 30,
            "max_retries": 1,
        },
    )
    return app


class Doorbell:
    """Rings for lanes. Losing a ring is harmless: housekeeping rings again."""

    def __init__(self, url: str) -> None:
        self._app = make_app(url)

    def ring(self, waiting: Mapping[str, int]) -> None:
        """As many rings for each lane as jobs wait in it, those counted that nobody has heard yet.

        Raises OSError-like errors of the transport when the broker is away.
        """
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            for lane, count in waiting.items():
                for _ in range(min(count, MOST) - _count_unheard(connection, lane)):
                    self._app.send_task(
                        RUN, args=[lane], queue=lane, connection=connection, retry=False, ignore_result=True
                    )


def _count_unheard(connection: Connection, lane: str) -> int:
    try:
        return int(connection.default_channel.queue_declare(lane, passive=True).message_count)
    except connection.channel_errors:
        return 0  # the broker forgets a queue that is empty
