"""Transcoding frame by frame: the samples and the header of the whole, in the memory of a frame or two."""

import threading
import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread, uid

from node.web.dicomweb import pixel_source, transcode
from node.web.dicomweb.pixel_source import open_pixels
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.transcode import TARGETS
from tests.node.web.dicomweb.test_round_trip import write_in
from tests.series import make_slice

FRAMES, EDGE = 24, 512
FRAME_BYTES = EDGE * EDGE * 2


def make_cine(count=FRAMES, edge=EDGE):
    noise = np.random.default_rng(7)
    values = noise.integers(0, 4000, (count, edge, edge)).astype(np.int16)
    ds = make_slice(values[0], (0, 0, 0))
    ds.NumberOfFrames, ds.PixelData = count, values.tobytes()
    return ds, values


@pytest.fixture(scope="module", params=[uid.JPEGLSLossless, uid.ImplicitVRLittleEndian], ids=str)
def cine(request, tmp_path_factory):
    """(file, samples)."""
    ds, values = make_cine()
    return write_in(ds, request.param, tmp_path_factory.mktemp("cine") / "cine.dcm"), values


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_samples_come_out_as_they_went_in_and_never_all_at_once(cine, tmp_path, target):
    path, values = cine
    with transcode.transcode(path, target, tmp_path) as warm:
        warm.read()
    tracemalloc.start()
    with transcode.transcode(path, target, tmp_path) as file:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        got = dcmread(file)
        assert (got.pixel_array == values).all()
    assert peak < 12 * FRAME_BYTES  # of 24, as whole values would be, and more than once
    assert got.file_meta.TransferSyntaxUID == target
    assert (got.NumberOfFrames, got.PhotometricInterpretation) == (FRAMES, "MONOCHROME2")
    assert not list(tmp_path.iterdir())


def test_a_frame_is_decoded_without_the_others(cine, monkeypatch):
    path, values = cine
    source = open_pixels(path)
    monkeypatch.setattr(pixel_source, "dcmread", None)
    for number in (1, 9, FRAMES):
        assert source.read_plain(number) == values[number - 1].astype("<i2").tobytes()


def test_color_goes_out_as_red_green_and_blue_with_what_follows_the_pixels(tmp_path):
    ds, _ = make_cine(1, 9)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation, ds.NumberOfFrames = 7, 0, 3
    values = np.random.default_rng(7).integers(0, 255, (3, 9, 9, 3)).astype(np.uint8)
    ds.PixelData = values.tobytes() + b"\0"
    ds["PixelData"].VR = "OB"
    ds.DataSetTrailingPadding = b"\1\2"
    path = write_in(ds, uid.RLELossless, tmp_path / "color.dcm")
    with transcode.transcode(path, uid.ExplicitVRLittleEndian, tmp_path) as file:
        got = dcmread(file)
    assert (got.pixel_array == values).all()
    assert (got.PhotometricInterpretation, got.PlanarConfiguration) == ("RGB", 0)
    assert len(got.PixelData) == values.size + 1
    assert got.DataSetTrailingPadding == b"\1\2"


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian], ids=lambda syntax: syntax.name)
def test_pixel_data_that_break_off_are_refused_and_leave_nothing(tmp_path, syntax):
    ds, _ = make_cine(3, 64)
    path = write_in(ds, syntax, tmp_path / "torn.dcm")
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(Problem) as caught:
        transcode.transcode(path, uid.ImplicitVRLittleEndian, tmp_path)
    assert caught.value.status == 406
    assert [one.name for one in tmp_path.iterdir()] == ["torn.dcm"]


def test_a_file_that_is_gone_is_said_to_be(tmp_path):
    with pytest.raises(Problem) as caught:
        transcode.transcode(tmp_path / "none", uid.ImplicitVRLittleEndian, tmp_path)
    assert caught.value.status == 410


def test_more_than_so_many_wait(tmp_path, monkeypatch):
    ds, _ = make_cine(1, 8)
    path = write_in(ds, uid.RLELossless, tmp_path / "one.dcm")
    begun, go_on = threading.Semaphore(0), threading.Event()
    write, at_work, most, lock = transcode._write, [], [], threading.Lock()

    def slow(*given):
        with lock:
            at_work.append(1)
            most.append(len(at_work))
        begun.release()
        assert go_on.wait(20)
        with lock:
            at_work.pop()
        return write(*given)

    monkeypatch.setattr(transcode, "_write", slow)
    give = lambda: transcode.transcode(path, uid.ExplicitVRLittleEndian, tmp_path).close()  # noqa: E731
    threads = [threading.Thread(target=give) for _ in range(transcode.AT_ONCE + 3)]
    for thread in threads:
        thread.start()
    for _ in range(transcode.AT_ONCE):
        assert begun.acquire(timeout=20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(most) == len(threads)
    assert max(most) <= transcode.AT_ONCE
