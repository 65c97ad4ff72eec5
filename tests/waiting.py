"""Waiting for what another thread or process does."""

import time


def wait_until(truth, seconds=20.0):
    """The last answer of `truth`: the first that is true, or what it says when `seconds` are over."""
    patience = time.monotonic() + seconds
    while not (answer := truth()) and time.monotonic() < patience:
        time.sleep(0.02)
    return answer
