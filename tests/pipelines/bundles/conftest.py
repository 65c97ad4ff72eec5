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


@pytest.fixture
def load_detector(shelf, tmp_path):
    """load_detector(network, edit) is a detecting bundle as a Program, with that network."""

    from pipelines.bundles.install import add_bundle, read_installed
    from pipelines.bundles.program import Program
    from tests.pipelines.bundles.corner import Corner
    from tests.pipelines.bundles.made import make_bundle

    def make(network=None, edit=None):
        add_bundle(make_bundle("tiny_ct_detection", tmp_path, edit=edit), shelf, "tiny")
        made = Program(read_installed(shelf / "tiny-1.0.0"), "cpu", trusted=False)
        made._detector._made.network = network or Corner()
        return made

    return make
