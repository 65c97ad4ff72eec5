"""The Celery worker of this node: prefork, one child per device, models loaded in the child and kept warm.

Torch is never imported in the parent: after it has run, a forked child would hang in OpenMP, or could not use CUDA.
"""

import gc
import logging
from typing import Any

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
from celery.worker.request import Request
from kombu.transport import virtual

from node.config import load_settings
from node.errors import ConfigError
from node.heap import keep_large
from node.queue import RUN, make_app

log = logging.getLogger(__name__)

settings = load_settings()
if not settings.queue.url:
    raise ConfigError("queue.url is empty: a worker needs the broker's address (`wetread up` gives its own)")
app = make_app(settings.queue.url)


@setup_logging.connect  # type: ignore[untyped-decorator]
def keep_logs(**_signal: Any) -> None:
    """Celery leaves logging alone when somebody listens to this signal: ours is set up already."""


@worker_process_init.connect  # type: ignore[untyped-decorator]
def warm_up(**_signal: Any) -> None:
    """Runs in every new child: imports torch, picks the device, loads the models that the routes name."""
    keep_large()
    from workers.hands import get_hands

    hands = get_hands(settings)
    if settings.work.warm:
        hands.warm.load_all(sorted({route.pipeline for route in settings.routes}))
    # What is there now stays for good, and a job makes a million small objects: to look through all of them for cycles
    # as often as Python does by default takes a quarter of the time of its results.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def sign_off(**_signal: Any) -> None:
    """Runs in every child that ends as it should."""
    from workers.hands import leave

    leave()


class Ring(Request):  # type: ignore[misc]
    """One ring, from the moment it is heard until it is answered."""

    def acknowledge(self) -> None:
        """Where the broker is away just then, kombu goes on counting the ring as one at hand: a worker that takes one
        at a time would never listen again. So it is let go; the broker may ring it once more, which does no harm."""
        super().acknowledge()
        if not self.message.acknowledged:
            virtual.QoS.ack(self.message.channel.qos, self.message.delivery_tag)


@app.task(name=RUN, Request=Ring)  # type: ignore[untyped-decorator]
def run(lane: str) -> str:
    """One ring of the doorbell: a job of `lane` waits. Returns what came of it, for the log."""
    from workers.hands import get_hands

    return get_hands(settings).answer(lane)
