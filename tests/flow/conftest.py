"""One node for the tests of a file: starting one takes seconds."""

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.flow.house import House
from tests.series import make_series, write_series


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    home = House(tmp_path_factory.mktemp("house"))
    home.start()
    yield home
    home.close()


@pytest.fixture
def make_study(tmp_path):
    """make_study(**overrides) -> (study uid, slices, files) of a small CT with a bright block in it."""

    def make(shape=(12, 24, 26), folder="study", bright=True, **changes):
        voxels = np.full(shape, 100, np.int16)
        if bright:
            voxels[3:7, 5:15, 6:16] = 2400
        study = generate_uid(prefix=None)
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".1", "FrameOfReferenceUID": study + ".2"}
        slices = make_series(shape, voxels=voxels, **(uids | changes))
        return study, slices, write_series(slices, tmp_path / folder)

    return make
