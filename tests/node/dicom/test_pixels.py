"""Stored values from every transfer syntax, bit for bit; damage has a name."""

import shutil
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame

from node.dicom import pixels
from node.dicom.header import read_header
from node.errors import TruncatedInstance, UnreadablePixels
from tests.series import make_slice

NATIVE = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]
LOSSLESS = [
    uid.RLELossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.HTJ2KLossless,
    uid.HTJ2K,
]
LOSSY = {uid.JPEGExtended12Bit: 8, uid.JPEGLSNearLossless: 2, uid.JPEG2000: 16}
"""Transfer syntax -> largest error that its encoder may make here."""


def scene(low=0, high=4095, shape=(37, 53), seed=0):
    """A smooth slope with noise over the whole range, int32."""
    j, i = np.mgrid[: shape[0], : shape[1]]
    values = low + (high - low) * (j + i) / (sum(shape) - 2) + np.random.default_rng(seed).integers(-99, 99, shape)
    values.flat[:2] = low, high
    return np.clip(np.rint(values), low, high).astype(np.int32)


def make_image(values, bits=16, signed=False, allocated=16, **changes):
    """An image whose stored values are `values`, in the lowest `bits` of `allocated`."""
    ds = make_slice(
        np.zeros(values.shape, np.int16),
        (0, 0, 0),
        BitsAllocated=allocated,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
        **changes,
    )
    data = (values & (2**bits - 1)).astype(f"<u{allocated // 8}").tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if allocated > 8 else "OB"
    return ds


def encode(ds, syntax):
    """`ds` in another transfer syntax; JPEG and JPEG 2000 frames by imagecodecs, for want of an encoder in pydicom."""
    if syntax in NATIVE:
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == uid.ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}").byteswap().tobytes()
        return ds
    values = ds.pixel_array.astype(np.uint16) & (2**ds.BitsStored - 1)
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        predictor = 1 if syntax == uid.JPEGLosslessSV1 else 6
        frame = imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=ds.BitsStored)
    elif syntax == uid.JPEGExtended12Bit:
        frame = imagecodecs.jpeg8_encode(values, level=98, bitspersample=12)
    elif syntax in (uid.HTJ2KLossless, uid.HTJ2K):
        frame = imagecodecs.htj2k_encode(ds.pixel_array, reversible=True)
    elif syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        options = {"reversible": True} if syntax == uid.JPEG2000Lossless else {"level": 60}
        frame = imagecodecs.jpeg2k_encode(ds.pixel_array, codecformat="j2k", bitspersample=ds.BitsStored, **options)
    else:
        options = {"jls_error": 2} if syntax == uid.JPEGLSNearLossless else {}
        ds.compress(syntax, generate_instance_uid=False, **options)
        return ds
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


def save(ds, path):
    syntax = ds.file_meta.TransferSyntaxUID
    # Not Dataset.save_as: it refuses pixel data that is big-endian already.
    dcmwrite(
        path, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True
    )
    return path


def read(path, frames=(1,)):
    return list(pixels.read_planes(path, read_header(path), frames))


@pytest.mark.parametrize("syntax", NATIVE + LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, False), (16, True), (12, True)])
def test_lossless_syntaxes_give_every_bit_back(tmp_path, syntax, bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    values = scene(low, low + 2**bits - 1)
    (stored,) = read(save(encode(make_image(values, bits, signed), syntax), tmp_path / "a"))
    np.testing.assert_array_equal(stored, values)
    assert stored.dtype == (np.int16 if signed else np.uint16)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.keyword)
def test_lossy_syntaxes_stay_within_what_their_encoder_lost(tmp_path, syntax):
    values = scene()
    (stored,) = read(save(encode(make_image(values, 12), syntax), tmp_path / "a"))
    assert 0 < np.abs(stored - values).max() <= LOSSY[syntax]


def test_12_bit_jpeg_of_another_encoder_is_decoded():
    (stored,) = read(Path(get_testdata_file("JPGExtended.dcm", download=False)))
    assert stored.shape == (1024, 256)
    # As two other decoders have it; the inverse transform may round by one.
    np.testing.assert_allclose(stored[512, 120:123], [18, 19, 20], atol=1)


@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes long")
@pytest.mark.parametrize("kind", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"])
def test_one_image_of_other_encoders_is_the_same_in_every_syntax(kind):
    (expected,) = read(Path(get_testdata_file("MR_small.dcm", download=False)))
    (stored,) = read(Path(get_testdata_file(f"MR_small_{kind}.dcm", download=False)))
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.judge
@pytest.mark.parametrize("options", [["+e1"], *(["+el", "+sv", str(predictor)] for predictor in range(1, 8))])
@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, True)])
def test_lossless_jpeg_of_dcmtk_is_decoded_bit_for_bit(tmp_path, options, bits, signed):
    if shutil.which("dcmcjpeg") is None:
        pytest.skip("dcmcjpeg of dcmtk is not installed")
    values = scene(-2000 if signed else 0, 2095 if signed else 4095)
    path = save(make_image(values, bits, signed), tmp_path / "a")
    subprocess.run(["dcmcjpeg", *options, path, tmp_path / "b"], check=True, capture_output=True)
    (stored,) = read(tmp_path / "b")
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize(("allocated", "bits"), [(8, 8), (8, 6), (32, 20)])
def test_samples_of_8_and_32_bits_are_read(tmp_path, syntax, allocated, bits):
    values = scene(0, 2**bits - 1, (5, 7))
    path = save(encode(make_image(values, bits, allocated=allocated), syntax), tmp_path / "a")
    (stored,) = read(path)
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("signed", [False, True])
def test_a_stream_of_8_bits_in_16_allocated_is_read(tmp_path, signed):
    values = scene(-128 if signed else 0, 127 if signed else 255)
    ds = make_image(values, 8, signed)
    ds.file_meta.TransferSyntaxUID = uid.JPEGLosslessSV1
    ds.PixelData = encapsulate([imagecodecs.jpeg8_encode(values.astype(np.uint8), lossless=True, predictor=1)])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    (stored,) = read(save(ds, tmp_path / "a"))
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("signed", [False, True])
def test_junk_above_bits_stored_is_taken_away(tmp_path, syntax, signed):
    low = -2048 if signed else 0
    values = scene(low, low + 4095)
    ds = make_image(values, 12, signed)
    junk = np.random.default_rng(1).integers(0, 16, values.shape) << 12
    ds.PixelData = ((values & 0xFFF) | junk).astype("<u2").tobytes()
    if syntax == uid.ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    (stored,) = read(save(ds, tmp_path / "a"))
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless], ids=lambda syntax: syntax.keyword)
def test_frames_come_in_the_order_asked_for(tmp_path, syntax):
    values = np.stack([scene(seed=n) for n in range(5)])
    ds = make_image(values[0], NumberOfFrames=5)
    ds.PixelData = values.astype("<u2").tobytes()
    if syntax == uid.RLELossless:
        ds.compress(syntax, generate_instance_uid=False)
    planes = read(save(ds, tmp_path / "a"), (4, 1, 3))
    np.testing.assert_array_equal(planes, values[[3, 0, 2]])


def test_pixel_data_that_is_not_the_last_element_is_found(tmp_path):
    values = scene()
    ds = make_image(values)
    ds.add_new(0xFFFCFFFC, "OB", b"\0" * 64)
    (stored,) = read(save(ds, tmp_path / "a"))
    np.testing.assert_array_equal(stored, values)


def test_both_ways_of_reading_agree(tmp_path, monkeypatch):
    path = save(make_image(scene(-500, 3000), signed=True), tmp_path / "a")
    (fast,) = read(path)
    monkeypatch.setattr(pixels, "PLAIN", ())
    (slow,) = read(path)
    np.testing.assert_array_equal(fast, slow)
    assert fast.dtype == slow.dtype


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("lost", [1, 100, 37 * 53 * 2])
def test_truncated_pixel_data_is_refused_with_its_bytes(tmp_path, syntax, lost):
    ds = encode(make_image(scene()), syntax)
    path = save(ds, tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(
        TruncatedInstance, match=f"{37 * 53 * 2 - lost} bytes are read, decoded it has {37 * 53 * 2}"
    ) as caught:
        read(path)
    assert ds.SOPInstanceUID in str(caught.value)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_a_compressed_file_that_breaks_off_is_truncated(tmp_path, syntax):
    path = save(encode(make_image(scene(), 12), syntax), tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(TruncatedInstance, match=read_header(path).SOPInstanceUID):
        read(path)


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=lambda syntax: syntax.keyword)
def test_a_compressed_frame_that_breaks_off_is_unreadable(tmp_path, syntax):
    ds = encode(make_image(scene(), 12), syntax)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = encapsulate([frame[: len(frame) // 2 & ~1]])
    ds["PixelData"].is_undefined_length = True
    with pytest.raises(UnreadablePixels, match=ds.SOPInstanceUID):
        read(save(ds, tmp_path / "a"))


@pytest.mark.parametrize("syntax", [*LOSSLESS[1:], *LOSSY], ids=lambda syntax: syntax.keyword)
def test_a_frame_of_another_size_than_the_header_is_not_even_decoded(tmp_path, syntax):
    ds = encode(make_image(scene(shape=(40, 50)), 12), syntax)
    ds.Rows, ds.Columns = 50, 40
    with pytest.raises(UnreadablePixels, match=r"\(40, 50\), the header says \(50, 40\)"):
        read(save(ds, tmp_path / "a"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}, "RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 of 1 bits"),
        ({"BitsStored": None}, "absent"),
    ],
)
def test_what_is_no_monochrome_integer_is_refused_by_name(tmp_path, changes, said):
    ds = make_slice(scene().astype(np.int16), (0, 0, 0), **changes)
    with pytest.raises(UnreadablePixels, match=said):
        read(save(ds, tmp_path / "a"))


def test_a_transfer_syntax_that_nothing_decodes_is_refused_by_name(tmp_path):
    ds = make_image(scene())
    ds.file_meta.TransferSyntaxUID = uid.MPEG4HP41
    ds.PixelData = encapsulate([b"movie!"])
    ds["PixelData"].is_undefined_length = True
    with pytest.raises(UnreadablePixels, match="MPEG-4"):
        read(save(ds, tmp_path / "a"))


@pytest.mark.parametrize(
    "folder", ["ct_chest_LungDx_A0001/series3_soft_kernel", "ct_chest_LungDx_A0001/series2_lung_kernel"]
)
def test_real_stored_values_are_what_pydicom_reads(real_data, folder):
    paths = sorted((real_data / folder).glob("*.dcm"))[::16]
    assert paths
    for path in paths:
        (stored,) = read(path)
        np.testing.assert_array_equal(stored, dcmread(path).pixel_array)
