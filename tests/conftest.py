"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import pytest

LONG = ("test_brain_structures_real.py", "test_brain_structures.py", "test_kinds.py", "test_rigid.py")
"""Files of a minute or more for one core: begun first, none is left over when the other cores are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others keep their order."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real studies named by WETREAD_TEST_DATA; skips, saying so, where it is not set."""
    place = os.environ.get("WETREAD_TEST_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("WETREAD_TEST_DATA does not name a folder of real studies")
    return Path(place)
