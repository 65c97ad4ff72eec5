"""Models compute here in the process of the tests, as in a worker's."""

import pytest
import torch

from node.heap import give_back, keep_large


@pytest.fixture(scope="package", autouse=True)
def heap():
    """Memory that is new to the process at every step of a model costs as much as the model."""
    keep_large()
    yield
    give_back()


@pytest.fixture(scope="module")
def one_thread():
    """For small networks, that more threads only make wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
