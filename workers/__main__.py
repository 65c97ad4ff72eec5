"""`python -m workers`: the worker of this node, as `wetread work` starts it."""

import logging
import os
import socket

from node.oversight.logs import set_up_logs
from node.supervisor.parent import die_with_parent
from workers.device import count_gpus


def main() -> None:
    """Serves work.lanes until a signal: TERM finishes the job at hand, QUIT does not."""
    set_up_logs("work")
    die_with_parent()
    from workers.app import app, settings

    children = max(count_gpus(), 1) if settings.work.device == "auto" else 1
    logging.getLogger(__name__).info("worker starts, %d child(ren)", children)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=prefork",
            f"--concurrency={children}",
            f"--queues={','.join(settings.work.lanes)}",
            f"--hostname=work-{os.getpid()}@{socket.gethostname()}",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()
