"""Whether a job that went wrong is tried again: the only reader of `transient`."""

import logging

from node.errors import InputError, OutOfMemory, OutOfTime, WetreadError
from node.model.job import State
from pipelines.errors import BundleOutOfMemory, PipelineError, UnsuitableVolume

log = logging.getLogger(__name__)

GREEDY_TRIES = 2
"""Attempts of a job that used up its time or its memory: more would keep others waiting for the same end."""


def judge(error: BaseException, attempt: int, attempts: int) -> tuple[State, str]:
    """Where a job goes after `error` in its attempt number `attempt`, and the reason that people read.

    Foreseen errors speak for themselves; of an unforeseen one only the class is shown, since its text may quote the
    dataset, and the trace goes to the log, whose formatter drops that text too.
    """
    if isinstance(error, BundleOutOfMemory):
        error = OutOfMemory(str(error))
    elif is_out_of_memory(error):
        error = OutOfMemory("the pipeline asked for more memory than its device had")
    if isinstance(error, (WetreadError, PipelineError)):
        reason = f"{type(error).__name__}: {error}"
        tries = min(attempts, GREEDY_TRIES) if isinstance(error, (OutOfTime, OutOfMemory)) else attempts
        if getattr(error, "transient", False) and attempt < tries:
            return State.QUEUED, reason
        return State.FAILED, reason
    log.error("unforeseen %s, a bug", type(error).__name__, exc_info=error)
    return State.FAILED, f"unforeseen {type(error).__name__}; the trace is in the worker's log"


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python, torch on any device, and the process of a bundle raise when memory is used up. Torch is not
    imported for it: the worker's parent must not, and in a child it is there."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    named = isinstance(error, (MemoryError, BundleOutOfMemory)) or "OutOfMemoryError" in kinds
    return named or "DefaultCPUAllocator" in str(error)


def is_refusal(error: BaseException) -> bool:
    """True when the images themselves were the reason: the destinations are told that the algorithm did not run."""
    return isinstance(error, (InputError, UnsuitableVolume))
