"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real studies named by WETREAD_TEST_DATA; skips, saying so, where it is not set."""
    place = os.environ.get("WETREAD_TEST_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("WETREAD_TEST_DATA does not name a folder of real studies")
    return Path(place)
