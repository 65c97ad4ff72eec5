"""WADO-RS beyond the round trip: results, what is gone, what cannot be had, pictures of odd images."""

import io
import time

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.model.delivery import ResultObject
from node.model.job import State
from tests.jobs import add_job
from tests.node.web.dicomweb.archive import Store, make_client, serve
from tests.series import make_series, make_slice

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A store with one series of five slices, served; (store, address, rows)."""
    store = Store(tmp_path_factory.mktemp("ward"))
    rows = [store.keep_dataset(ds) for ds in make_series((5, 16, 18), WindowCenter=0.0, WindowWidth=400.0)]
    with serve(store) as address:
        yield store, address, rows


def place(address, row):
    return f"{address}/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"


def get(address, accept="*/*", **parameters):
    return requests.get(address, headers={"Accept": accept}, params=parameters, timeout=20)


def picture(answer):
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_an_answer_says_its_length_and_each_part_its_syntax(ward):
    store, address, rows = ward
    answer = get(f"{address}/studies/{rows[0].study_uid}", DICOM)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.content.count(b"Content-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n") == 5
    assert all(store.path_of(row).read_bytes() in answer.content for row in rows)


def test_one_instance_comes_without_parts_where_that_is_asked(ward):
    store, address, rows = ward
    answer = get(place(address, rows[0]), "application/dicom")
    assert answer.headers["Content-Type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert answer.content == store.path_of(rows[0]).read_bytes()


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/studies/1.9.9", DICOM, 404),
        ("/studies/1.9.9/metadata", "*/*", 404),
        ("/studies/1.2.3.1/series/9", DICOM, 404),
        ("/studies/1.2.3.1", "text/html", 406),
        ("/studies/1.2.3.1", DICOM.replace("*", "1.2.840.10008.1.2.4.90"), 406),
        ("/studies/1.2.3.1/metadata", "image/png", 406),
        ("{one}/frames/2", "*/*", 404),
        ("{one}/frames/0", "*/*", 400),
        ("{one}/frames/a", "*/*", 400),
        ("{one}/frames/1", 'multipart/related; type="image/jpeg"', 406),
        ("{one}/rendered?window=1", "image/png", 400),
        ("{one}/rendered?quality=0", "image/png", 400),
        ("{one}/rendered?viewport=0,5", "image/png", 400),
        ("{one}/rendered?viewport=4097,5", "image/png", 400),
        ("{one}/rendered", "application/pdf", 406),
        ("{one}/bulkdata/00091001", "*/*", 404),
        ("{one}/bulkdata/nothing", "*/*", 404),
        ("{one}/bulkdata/00280010", "*/*", 404),
        ("{one}/bulkdata/00100010", "*/*", 404),
        ("{one}/bulkdata/00200032", "*/*", 404),
        ("/nowhere", "*/*", 404),
        ("/studies", "nonsense", 400),
    ],
)
def test_what_cannot_be_had_is_refused_as_the_standard_says(ward, path, accept, status):
    _, address, rows = ward
    answer = get(address + path.replace("{one}", place("", rows[0])), accept)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_frames_come_as_one_part_several_or_none(ward):
    store, address, rows = ward
    samples = dcmread(store.path_of(rows[0])).pixel_array.tobytes()
    single = get(f"{place(address, rows[0])}/frames/1", "application/octet-stream")
    assert single.content == samples
    parts = get(f"{place(address, rows[0])}/frames/1", 'multipart/related; type="application/octet-stream"')
    assert b"Content-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" in parts.content
    assert samples in parts.content
    assert get(f"{place(address, rows[0])}/pixeldata", "application/octet-stream").content == samples


def test_a_window_a_region_and_a_size_are_those_asked_for(ward):
    store, address, rows = ward
    source = dcmread(store.path_of(rows[2]))
    values = source.pixel_array - 1024.0
    shown = np.asarray(picture(get(f"{place(address, rows[2])}/rendered", "image/png", window="-500,100")), float)
    assert np.abs(shown - np.clip((values + 500.5) / 99 + 0.5, 0, 1) * 255).max() <= 1
    exact = picture(get(f"{place(address, rows[2])}/rendered", "image/png", window="-500,100,linear-exact"))
    assert np.abs(np.asarray(exact, float) - np.clip((values + 500) / 100 + 0.5, 0, 1) * 255).max() <= 1
    whole = picture(get(f"{place(address, rows[2])}/rendered", "image/png", viewport="90,900"))
    assert whole.size == (90, round(90 * 16 / 18 * 0.8 / 0.7))
    part = picture(get(f"{place(address, rows[2])}/rendered", "image/png", viewport="36,64,2,3,9,8"))
    assert part.width == 36
    small = picture(get(f"{address}/studies/{rows[0].study_uid}/thumbnail", "image/jpeg"))
    assert max(small.size) == 128
    assert get(f"{address}/studies/{rows[0].study_uid}/rendered", 'multipart/related; type="image/png"').ok


def test_what_is_dark_in_monochrome1_is_shown_bright(tmp_path):
    store = Store(tmp_path)
    ramp = np.arange(64, dtype=np.int16).reshape(8, 8)
    row = store.keep_dataset(make_slice(ramp, (0, 0, 0), modality="MR", PhotometricInterpretation="MONOCHROME1"))
    with serve(store) as address:
        shown = np.asarray(picture(get(f"{place(address, row)}/rendered", "image/png")))
    assert (shown[0, 0], shown[7, 7]) == (255, 0)


def test_color_and_many_frames_are_shown(tmp_path):
    store = Store(tmp_path)
    ds = make_slice(np.zeros((6, 7), np.int16), (0, 0, 0))
    frames = np.random.default_rng(1).integers(0, 255, (3, 6, 7, 3), dtype=np.uint8)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation, ds.NumberOfFrames = 7, 0, 3
    ds.PixelData = frames.tobytes()
    row = store.keep_dataset(ds)
    with serve(store) as address:
        shown = picture(get(f"{place(address, row)}/frames/2/rendered", "image/png"))
        assert (np.asarray(shown) == frames[1]).all()
        moving = picture(get(f"{place(address, row)}/rendered", "image/gif"))
        assert moving.n_frames == 3
        two = get(f"{place(address, row)}/frames/3,1", 'multipart/related; type="application/octet-stream"')
        assert two.content.index(frames[2].tobytes()) < two.content.index(frames[0].tobytes())


def test_bulk_data_within_a_sequence_is_found_where_the_metadata_say(tmp_path):
    store = Store(tmp_path)
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation, item.LUTData = [1024, 0, 16], "one", list(range(1024))
    item["LUTData"].VR = "OW"
    item.LUTData = np.arange(1024, dtype="<u2").tobytes()
    row = store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0), VOILUTSequence=[item]))
    with serve(store) as address:
        (model,) = get(f"{place(address, row)}/metadata", "application/dicom+json").json()
        reference = model["00283010"]["Value"][0]["00283006"]["BulkDataURI"]
        assert reference.startswith(address)
        assert get(reference, "application/octet-stream").content == item.LUTData


def test_results_in_the_outbox_are_instances_of_their_study_until_their_job_is_canceled(tmp_path):
    store = Store(tmp_path)
    image = make_slice(np.zeros((4, 4), np.int16), (0, 0, 0))
    store.keep_dataset(image)
    job = add_job(store.ledger, study_uid="1.2.3.1", deliver=())
    result = make_slice(np.zeros((4, 4), np.int16), (0, 0, 9), SeriesInstanceUID="1.2.3.77", SeriesNumber=77)
    folder = store.settings.outbox / job.id
    folder.mkdir(parents=True)
    result.save_as(folder / "result.dcm", enforce_file_format=True)
    uid = str(result.SOPInstanceUID)
    made = ResultObject(uid, str(result.SOPClassUID), "CT", f"{job.id}/result.dcm")
    claimed = store.ledger.claim_job(job.id, "w", time.time() + 60, time.time())
    encoded = store.ledger.move_job(claimed, State.ENCODED, time.time(), "put", objects=[made])
    with serve(store) as address:
        client = make_client(address)
        assert [one["00200011"]["Value"] for one in client.search_for_series("1.2.3.1")] == [[1], [77]]
        assert len(client.retrieve_study("1.2.3.1")) == 2
        assert client.retrieve_instance("1.2.3.1", "1.2.3.77", uid) == result
        store.ledger.move_job(encoded, State.CANCELED, time.time(), "cancel")
        store.reading.indexer.tick(time.time())
        assert len(client.search_for_series("1.2.3.1")) == 1


def test_what_retention_took_is_gone_and_no_longer_found(tmp_path):
    store = Store(tmp_path)
    row = store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0)))
    with serve(store) as address:
        assert get(place(address, row), DICOM).ok
        store.path_of(row).unlink()
        assert get(place(address, row), DICOM).status_code == 410
        assert get(f"{place(address, row)}/frames/1").status_code == 410
        assert get(f"{place(address, row)}/rendered", "image/png").status_code == 410
        (study,) = store.ledger.find_studies()
        assert store.ledger.close_study(study, time.time(), "released", "", [])
        (finished,) = store.ledger.find_finished(time.time() + 1, time.time() + 1, 10)
        assert store.ledger.expire_study(finished, time.time() + 1, time.time())
        store.reading.indexer.tick(time.time())
        assert get(place(address, row), DICOM).status_code == 410
        assert get(f"{address}/studies").status_code == 204


def test_the_index_is_for_its_owner_alone_and_is_made_again_when_lost(tmp_path):
    store = Store(tmp_path)
    store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0)))
    assert store.reading.indexer.catch_up()
    place = store.settings.node.home / "web.sqlite"
    for file in place.parent.glob("web.sqlite*"):
        assert file.stat().st_mode & 0o077 == 0, file.name
        file.unlink()
    again = Store(tmp_path)
    with serve(again) as address:
        assert len(get(f"{address}/studies").json()) == 1


def test_a_file_that_is_no_dicom_any_more_costs_no_answer_but_its_own(tmp_path, caplog):
    store = Store(tmp_path)
    good, bad = (store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, n))) for n in (0, 1))
    store.path_of(bad).write_bytes(b"nothing of that kind")
    with serve(store) as address:
        found = get(f"{address}/instances").json()
    assert [one["00080018"]["Value"] for one in found] == [[good.sop_instance_uid]]
    assert "is not indexed" in caplog.text
