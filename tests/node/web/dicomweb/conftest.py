"""One archive of real studies for the tests that read it and change nothing."""

import pytest

from tests.node.web.dicomweb.archive import Store, make_client, serve


@pytest.fixture(scope="session")
def hospital(real_data, tmp_path_factory):
    """Ten slices of a chest CT, three of a head MR, a segmentation and an enhanced MR."""
    store = Store(tmp_path_factory.mktemp("hospital"))
    chosen = [
        *sorted((real_data / "ct_chest_CMB-CRC_01068").rglob("*.dcm"))[:10],
        *sorted((real_data / "mr_brain_VS-SEG-001").rglob("*.dcm"))[:3],
        *sorted((real_data / "dcmqi_seg_sr").rglob("segmentations/*.dcm"))[:1],
        *sorted((real_data / "mr_enhanced").rglob("6_1.dcm")),
    ]
    store.rows = {row.sop_instance_uid: row for row in map(store.keep, chosen)}
    return store


@pytest.fixture(scope="session")
def url(hospital):
    """Base URL of the service over `hospital`."""
    with serve(hospital) as address:
        yield address


@pytest.fixture(scope="session")
def client(url):
    """dicomweb-client, which nobody here wrote."""
    return make_client(url)
