"""Models compute here in the process of the tests, as in a worker's."""

import pytest

from node.heap import give_back, keep_large


@pytest.fixture(scope="package", autouse=True)
def heap():
    """Memory that is new to the process at every step of a model costs as much as the model."""
    keep_large()
    yield
    give_back()
