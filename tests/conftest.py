"""Fixtures that every test may ask for."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate")  # a search for new examples: --hypothesis-profile default

LONG = ("test_brain_structures_real.py", "test_brain_structures.py", "test_kinds.py", "test_rigid.py")
"""Files of a minute or more for one core: begun first, none is left over when the other cores are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others keep their order."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def steady_chance() -> None:
    """What a test draws by chance, it draws alike in each run; a test of chance itself brings its own generator."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real studies named by WETREAD_TEST_DATA; skips, saying so, where it is not set."""
    place = os.environ.get("WETREAD_TEST_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("WETREAD_TEST_DATA does not name a folder of real studies")
    return Path(place)
