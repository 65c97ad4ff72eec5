"""Whether a job that went wrong is tried again: the only reader of `transient`."""

import logging

from billiard.exceptions import SoftTimeLimitExceeded

from node.errors import InputError, OutOfTime, WetreadError
from node.model.job import State
from pipelines.errors import PipelineError, UnsuitableVolume

log = logging.getLogger(__name__)


def judge(error: BaseException, attempt: int, attempts: int) -> tuple[State, str]:
    """Where a job goes after `error` in its attempt number `attempt`, and the reason that people read.

    Foreseen errors speak for themselves; of an unforeseen one only the class is shown, since its text may quote the
    dataset, and the trace goes to the log, whose formatter drops that text too.
    """
    if isinstance(error, SoftTimeLimitExceeded):
        return State.FAILED, f"{OutOfTime.__name__}: the pipeline ran past its time limit"
    if isinstance(error, (WetreadError, PipelineError)):
        reason = f"{type(error).__name__}: {error}"
        if getattr(error, "transient", False) and attempt < attempts:
            return State.QUEUED, reason
        return State.FAILED, reason
    log.error("unforeseen %s, a bug", type(error).__name__, exc_info=error)
    return State.FAILED, f"unforeseen {type(error).__name__}; the trace is in the worker's log"


def is_refusal(error: BaseException) -> bool:
    """True when the images themselves were the reason: the destinations are told that the algorithm did not run."""
    return isinstance(error, (InputError, UnsuitableVolume))
