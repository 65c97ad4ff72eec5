"""Wrong input: a clear state and reason, nothing lost, and the node lives."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.dicom.read_report import read_outcome
from node.model.job import State
from node.oversight.overview import list_rows
from tests.series import make_series, write_series


def rows(house, **wanted):
    return [r for r in list_rows(house.ledger) if all(getattr(r, key) == value for key, value in wanted.items())]


def refused(house, study):
    (job,) = house.finish(study)
    assert job.state == State.FAILED
    return job


def test_a_localizer_only(house, make_study):
    study, _, files = make_study(shape=(1, 32, 32), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], bright=False)
    house.send(files)
    assert refused(house, study).reason.startswith("NotAcquired")


def test_a_series_with_a_missing_slice(house, make_study):
    study, _, files = make_study()
    house.send([path for k, path in enumerate(files) if k != 5])
    job = refused(house, study)
    assert job.reason.startswith("MissingSlices")
    house.wait_until(lambda: house.received(study), 20)
    (report,) = (dcmread(path) for path in house.received(study))
    assert "No algorithms succeeded" in read_outcome(report)
    assert job.id in {row.job_id for row in rows(house, state="FAILED")}


def test_a_study_without_a_route(house, make_study):
    study, _, files = make_study(modality="MR", bright=False)
    house.send(files)
    assert house.finish(study) == []
    (row,) = rows(house, study_uid=study)
    assert (row.state, row.reason) == ("NO JOB", "no matching route: route 'bright CT': Modality is not CT")


def test_a_truncated_image(house, make_study):
    study, slices, files = make_study()
    files[4].write_bytes(files[4].read_bytes()[:-200])
    house.send(files)
    job = refused(house, study)
    assert job.reason.startswith("TruncatedInstance")
    assert slices[4].SOPInstanceUID in job.reason


def test_a_dataset_that_is_garbage_is_quarantined_and_the_rest_goes_on(house, make_study, tmp_path):
    study, _, files = make_study()
    bad = make_series((1, 8, 8))[0]
    (path,) = write_series([bad], tmp_path / "bad")
    content = path.read_bytes()
    offset = content.index(b"\x08\x00\x05\x00")
    path.write_bytes(content[:offset] + b"\xff" * 64)
    with pytest.raises(AssertionError):
        house.send([path])
    (row,) = [row for row in rows(house, state="QUARANTINED") if bad.SOPInstanceUID in row.reason]
    assert "CannotUnderstand" in row.reason
    house.send(files)
    (job,) = house.finish(study)
    assert job.state == State.CONFIRMED


def test_a_rescale_slope_of_zero_is_refused_not_answered(house, make_study):
    study, _, files = make_study(RescaleSlope=0.0)
    house.send(files)
    assert refused(house, study).reason.startswith("UnreadablePixels")


def test_a_colour_picture_called_ct_fails_by_name(house, tmp_path):
    study = generate_uid(prefix=None)
    slices = make_series((5, 8, 8), StudyInstanceUID=study, SeriesInstanceUID=study + ".1")
    for ds in slices:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.PixelData = np.zeros((8, 8, 3), np.uint8).tobytes()
    house.send(write_series(slices, tmp_path / "rgb"))
    job = refused(house, study)
    assert "unforeseen" not in job.reason
