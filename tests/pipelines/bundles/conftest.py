"""A shelf for each test, and the one before put back."""

import pytest

from pipelines.terms import get_shelf, use_shelf


@pytest.fixture
def shelf(tmp_path):
    """The folder of an empty shelf, in use."""
    before = get_shelf()
    use_shelf(tmp_path / "shelf")
    yield tmp_path / "shelf"
    use_shelf(before.folder, before.allowances)
