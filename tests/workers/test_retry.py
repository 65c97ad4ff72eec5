"""Which failures are tried again, and what people read of them."""

import pytest
import torch

from node.errors import MissingSlices, OutOfTime, WorkerLost
from node.model.job import State
from node.oversight.logs import Formatter
from pipelines.errors import BundleCrashed, BundleOutOfMemory, UnsuitableVolume, WeightsMismatch
from workers.retry import is_out_of_memory, is_refusal, judge


def test_what_time_may_cure_is_tried_again_until_the_attempts_are_used_up():
    assert judge(WorkerLost("gone"), 1, 3) == (State.QUEUED, "WorkerLost: gone")
    assert judge(WorkerLost("gone"), 3, 3) == (State.FAILED, "WorkerLost: gone")


@pytest.mark.parametrize("error", [MissingSlices("one"), UnsuitableVolume("all air"), WeightsMismatch("other")])
def test_what_time_cannot_cure_fails_by_name_at_once(error):
    assert judge(error, 1, 3) == (State.FAILED, f"{type(error).__name__}: {error}")


def test_a_bug_is_not_retried_and_its_text_which_may_quote_a_dataset_is_not_shown(caplog):
    try:
        {}["Doe^John"]
    except KeyError as error:
        state, reason = judge(error, 1, 3)
    assert (state, reason) == (State.FAILED, "unforeseen KeyError; the trace is in the worker's log")
    (record,) = caplog.records
    record.exc_text = None  # what another handler made of it
    shown = Formatter("%(message)s").format(record)
    assert "test_retry.py" in shown
    assert shown.endswith("KeyError")


def test_what_used_up_its_time_is_tried_once_more_and_then_fails_by_name():
    assert judge(OutOfTime("60 s"), 1, 5) == (State.QUEUED, "OutOfTime: 60 s")
    assert judge(OutOfTime("60 s"), 2, 5) == (State.FAILED, "OutOfTime: 60 s")


@pytest.mark.parametrize("ask", [lambda: torch.empty(1 << 52), lambda: bytearray(1 << 60)], ids=["torch", "python"])
def test_what_used_up_the_memory_is_tried_once_more_and_then_fails_by_name(ask):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        ask()
    state, reason = judge(caught.value, 1, 3)
    assert (state, reason[:12]) == (State.QUEUED, "OutOfMemory:")
    assert judge(caught.value, 2, 3)[0] == State.FAILED


def test_a_bundle_without_memory_is_tried_on_the_cpu_and_its_own_sentence_is_kept():
    error = BundleOutOfMemory("the bundle wants more memory than there is left on cuda:0")
    assert is_out_of_memory(error)
    assert judge(error, 1, 3) == (State.QUEUED, f"OutOfMemory: {error}")
    assert judge(error, 2, 3) == (State.FAILED, f"OutOfMemory: {error}")
    assert not is_out_of_memory(BundleCrashed("its process ended"))


def test_only_the_images_make_a_refusal_report():
    assert is_refusal(MissingSlices("one"))
    assert is_refusal(UnsuitableVolume("air"))
    assert not is_refusal(WeightsMismatch("other"))
