"""dicomweb-client reads everything that this service gives, and gets what the files hold."""

import io

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from tests.node.web.dicomweb.archive import BASE, Store, make_client, serve
from tests.series import make_series

pytestmark = pytest.mark.judge
CT = "1.2.840.10008.5.1.4.1.1.2"


def find_row(hospital, sop_class=CT):
    return next(row for row in hospital.rows.values() if row.sop_class_uid == sop_class)


def read(hospital, row):
    return dcmread(hospital.path_of(row))


def test_a_client_finds_every_study_series_and_instance(client, hospital):
    rows = hospital.rows.values()
    studies = [Dataset.from_json(one) for one in client.search_for_studies()]
    assert {one.StudyInstanceUID for one in studies} == {row.study_uid for row in rows}
    for study in studies:
        own = [row for row in rows if row.study_uid == study.StudyInstanceUID]
        assert study.NumberOfStudyRelatedInstances == len(own)
        assert study.NumberOfStudyRelatedSeries == len({row.series_uid for row in own})
    assert len(client.search_for_series()) == len({row.series_uid for row in rows})
    found = [Dataset.from_json(one) for one in client.search_for_instances()]
    assert {one.SOPInstanceUID for one in found} == set(hospital.rows)


def test_a_client_gets_the_bytes_that_were_sent(client, hospital):
    row = find_row(hospital)
    got = client.retrieve_series(row.study_uid, row.series_uid)
    own = [one for one in hospital.rows.values() if one.series_uid == row.series_uid]
    assert len(got) == len(own)
    for ds in got:
        assert ds == read(hospital, hospital.rows[ds.SOPInstanceUID])
    single = client.retrieve_instance(row.study_uid, row.series_uid, row.sop_instance_uid)
    assert single == read(hospital, row)
    assert len(client.retrieve_study(row.study_uid)) == len(own)


def test_metadata_are_the_header_and_their_bulk_data_are_to_be_had(client, hospital):
    row = find_row(hospital)
    source = read(hospital, row)
    model = client.retrieve_instance_metadata(row.study_uid, row.series_uid, row.sop_instance_uid)
    pixels = model["7FE00010"]
    assert pixels["BulkDataURI"].startswith("http")
    (data,) = client.retrieve_bulkdata(pixels["BulkDataURI"])
    assert data == source.pixel_array.tobytes()
    header = Dataset.from_json({tag: one for tag, one in model.items() if "BulkDataURI" not in one})
    for element in header:
        if element.tag != 0x00080005:
            assert element == source[element.tag], element.tag
    assert len(client.retrieve_series_metadata(row.study_uid, row.series_uid)) == 10


@pytest.mark.parametrize("sop_class", [CT, "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.4.1"])
def test_frames_are_those_of_the_file_bit_for_bit(client, hospital, sop_class):
    row = find_row(hospital, sop_class)
    source = read(hospital, row)
    count = int(source.get("NumberOfFrames", 1))
    wanted = sorted({1, count, (count + 1) // 2})
    got = client.retrieve_instance_frames(row.study_uid, row.series_uid, row.sop_instance_uid, wanted)
    array = source.pixel_array.reshape(count, source.Rows, source.Columns)
    for number, data in zip(wanted, got, strict=True):
        if source.BitsAllocated == 1:
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: source.Rows * source.Columns]
            assert (bits.reshape(source.Rows, source.Columns) == array[number - 1]).all()
        else:
            assert data == array[number - 1].tobytes()


def test_a_client_gets_pictures(client, hospital):
    row = find_row(hospital)
    uids = (row.study_uid, row.series_uid, row.sop_instance_uid)
    source = read(hospital, row)
    for kind, name in (("image/png", "PNG"), ("image/jpeg", "JPEG")):
        data = client.retrieve_instance_rendered(*uids, media_types=(kind,), params={"window": "40,400,linear"})
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size) == (name, (source.Columns, source.Rows))
    frame = client.retrieve_instance_frames_rendered(*uids, [1], media_types=("image/png",))
    values = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
    center, width = (
        float(value[0] if hasattr(value, "__len__") else value) for value in (source.WindowCenter, source.WindowWidth)
    )
    expected = np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    assert np.abs(np.asarray(Image.open(io.BytesIO(frame)), float) - expected).max() <= 1


def test_what_came_in_any_transfer_syntax_goes_out_in_the_one_asked_for(tmp_path):
    from pydicom import uid

    (ds,) = make_series((1, 12, 14))
    samples = ds.pixel_array
    syntaxes = [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless]
    store = Store(tmp_path)
    rows = []
    for number, syntax in enumerate([*syntaxes, uid.ExplicitVRBigEndian], 1):
        one = dcmread(write(ds, tmp_path / "one.dcm"))
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        rows.append(store.keep(write_in(one, syntax, tmp_path / "two.dcm")))
    with serve(store) as address:
        client = make_client(address)
        for row in rows:
            place = f"{address}/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"
            explicit = get(place, 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1')
            assert explicit.status_code == 200, row.transfer_syntax_uid
            body = explicit.content.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
            got = dcmread(io.BytesIO(body))
            assert got.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
            assert (got.pixel_array == samples).all(), row.transfer_syntax_uid
            assert got.SOPInstanceUID == row.sop_instance_uid
            stored = client.retrieve_instance(row.study_uid, row.series_uid, row.sop_instance_uid)
            assert stored.file_meta.TransferSyntaxUID == row.transfer_syntax_uid
            (frame,) = client.retrieve_instance_frames(row.study_uid, row.series_uid, row.sop_instance_uid, [1])
            assert frame == samples.tobytes(), row.transfer_syntax_uid
            assert get(f"{place}/rendered", "image/png").status_code == 200
            as_stored = get(
                f"{place}/frames/1", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
            )
            assert as_stored.status_code == 200
            if row.transfer_syntax_uid == uid.JPEGLSLossless:
                assert b"Content-Type: image/jls; transfer-syntax=1.2.840.10008.1.2.4.80" in as_stored.content
            none = get(place, 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90')
            assert none.status_code == 406


def get(address, accept):
    return requests.get(address, headers={"Accept": accept}, timeout=30)


def write(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return path


def write_in(ds, syntax, path):
    """`ds`, explicit little endian, as a file in `syntax`."""
    if syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    elif not syntax.is_little_endian:
        ds.PixelData = ds.pixel_array.astype(">i2").tobytes()
        ds["PixelData"].VR = "OW"
    ds.file_meta.TransferSyntaxUID = syntax
    dcmwrite(
        path, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, overwrite=True,
        enforce_file_format=True,
    )  # fmt: skip
    return path


def test_the_service_says_what_it_does(url):
    answer = requests.get(f"{url}/", headers={"Accept": "application/vnd.sun.wadl+xml"}, timeout=10)
    assert answer.headers["content-type"].startswith("application/vnd.sun.wadl+xml")
    assert "studies/{study}/series/{series}/instances/{instance}/frames/{frames}" in answer.text
    assert BASE in answer.text
    assert requests.options(f"{url}/", timeout=10).status_code == 200
