"""`/queue`: what waits for which kind of worker. `/workers`: who works at what. `/quarantine`: what was refused."""

import time

from starlette.requests import Request
from starlette.responses import Response

from node.ledger import Ledger
from node.oversight.waiting import describe_job
from node.web.pages.frame import Frame
from node.web.pages.jobs import PAGE, find_mentioned


class QueuePages:
    """Lists without buttons."""

    def __init__(self, ledger: Ledger, frame: Frame) -> None:
        self._ledger = ledger
        self._frame = frame

    def show_queue(self, request: Request) -> Response:
        """GET /queue"""
        jobs = self._ledger.list_queue(PAGE)
        named = find_mentioned(self._ledger, jobs)
        return self._frame.render(
            request,
            "queue.html",
            waiting=self._ledger.count_waiting(),
            free=self._ledger.count_free(time.time()),
            rows=[(job, describe_job(job, named)) for job in jobs],
        )

    def show_workers(self, request: Request) -> Response:
        """GET /workers"""
        now = time.time()
        workers = self._ledger.find_workers(now)
        jobs = self._ledger.find_named(worker.job_id for worker in workers)
        rows = [(worker, jobs.get(worker.job_id), worker.is_gone(now)) for worker in workers]
        return self._frame.render(request, "workers.html", rows=rows)

    def show_quarantine(self, request: Request) -> Response:
        """GET /quarantine"""
        items = self._ledger.find_quarantined()
        return self._frame.render(request, "quarantine.html", items=items[:PAGE], number=len(items))
