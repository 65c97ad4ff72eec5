"""What goes from the page cache to the socket arrives as it is, in fragments that the peer can take."""

from contextlib import contextmanager

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE, build_context, evt

from node.outbound.reactor import hold_reactor
from node.outbound.store import associate
from node.outbound.stream import stream_file
from tests.series import make_series, write_series

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(3)
    voxels = rng.integers(0, 4000, (3, 65, 67)).astype(np.int16)
    return write_series(make_series(voxels.shape, voxels=voxels), tmp_path)[0]


@contextmanager
def peer(answer, most=16382):
    """(its port, the data sets it was sent) of a peer that answers each with `answer(event)`."""
    taken = []

    def take(event):
        taken.append(event.request.DataSet.getvalue())
        return answer(event)

    entity = AE("PEER")
    entity.maximum_pdu_size = most
    entity.add_supported_context(CT, EXPLICIT)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()


@contextmanager
def meet(port, sop_class=CT):
    contexts = [build_context(sop_class, EXPLICIT)]
    with associate("US", ("127.0.0.1", port), "PEER", contexts) as association, hold_reactor(association):
        yield association


def read_data_set(path):
    """The bytes after the file meta information, found by its group length (PS3.10 7.1)."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


@pytest.mark.parametrize("most", [4096, 16382, 0, 1 << 17])
def test_the_bytes_of_the_file_arrive_whatever_the_peers_longest_pdu(path, most):
    with peer(lambda _event: 0x0000, most) as (port, taken), meet(port) as association:
        answers = [stream_file(association, path) for _ in range(3)]
    assert [answer.Status for answer in answers] == [0, 0, 0]
    assert taken == [read_data_set(path)] * 3


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_last_fragment_that_just_fits_is_the_last(path, more):
    most = len(read_data_set(path)) + 6 + more
    with peer(lambda _event: 0x0000, most) as (port, taken), meet(port) as association:
        assert stream_file(association, path).Status == 0
    assert taken == [read_data_set(path)]


def test_the_peers_status_comes_back(path):
    with peer(lambda _event: 0xA700) as (port, _), meet(port) as association:
        assert stream_file(association, path).Status == 0xA700


def test_a_peer_that_ends_the_association_has_not_answered(path):
    with peer(lambda event: event.assoc.abort()) as (port, _), meet(port) as association:
        assert "Status" not in stream_file(association, path)
        assert not association.is_established


def test_without_a_presentation_context_nothing_is_sent(path):
    other = dcmread(path)
    other.file_meta.MediaStorageSOPClassUID = other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    other.save_as(path)
    with peer(lambda _event: 0x0000) as (port, taken), meet(port) as association:
        with pytest.raises(ValueError, match=r"presentation context"):
            stream_file(association, path)
        assert association.is_established
    assert taken == []
