"""Registrations read back by hand and by ITK lead points where they belong, name what they lay on what, and pass."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from node.dicom.output_gate import check_objects
from node.dicom.registration import DEFORMABLE, RIGID, encode_registrations
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.registration.points import to_fixed, to_moving
from pipelines.terms import Field, Registration, Result
from tests.judges import dciodvfy_errors
from tests.results import CORPUS, make_author, make_empty_result, make_stack
from tests.series import make_series

OTHER = {"StudyInstanceUID": "1.2.7.1", "SeriesInstanceUID": "1.2.7.2", "FrameOfReferenceUID": "1.2.7.3"}


def make_prior(**changes):
    return make_stack(make_series((4, 16, 18), **{"StudyDate": "20230102", **OTHER, **changes}))


def make_registration(field=None):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (4, -7, 11), degrees=True).as_matrix()
    matrix[:3, 3] = (12.25, -33.5, 871.123456)
    return Registration("prior", OTHER["FrameOfReferenceUID"], "earlier study on this", matrix, field)


def make_field(degrees=0.0):
    """Another vector at every node of a grid of unequal sides."""
    vectors = np.random.default_rng(3).normal(0, 0.4, (4, 5, 6, 3)).astype(np.float32)
    affine = np.array([[0, 0, 4, -20], [0, 3, 0, -25], [5, 0, 0, 25], [0, 0, 0, 1.0]])
    affine[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    return Field(vectors, affine)


def encode(stack, *priors, field=None):
    result = Result((), make_empty_result().findings, registrations=(make_registration(field),))
    return encode_registrations(stack, priors, result, make_author())


def read(ds, folder):
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    write_dicom(ds, path)
    return path, pydicom.dcmread(path)


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


POINTS = np.random.default_rng(0).uniform((-18, -24, 27), (-2, -14, 38), (200, 3))
"""Within the field of make_field."""


def test_itk_leads_points_of_the_prior_to_this_study_by_the_matrix(tmp_path):
    stack, prior = CORPUS["plain"](), make_prior()
    (ds,) = encode(stack, prior)
    _, ds = read(ds, tmp_path)
    assert ds.SOPClassUID == RIGID
    still, moving = ds.RegistrationSequence
    assert (still.FrameOfReferenceUID, moving.FrameOfReferenceUID) == ("1.2.3.3", OTHER["FrameOfReferenceUID"])
    assert ds.FrameOfReferenceUID == "1.2.3.3"
    matrices = [
        item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
        for item in (still, moving)
    ]
    assert np.array_equal(np.array(matrices[0], float).reshape(4, 4), np.eye(4))
    rows = np.array(matrices[1], float).reshape(4, 4)
    transform = sitk.AffineTransform(rows[:3, :3].ravel().tolist(), rows[:3, 3].tolist())
    led = [transform.TransformPoint(point) for point in POINTS.tolist()]
    assert np.abs(np.array(led) - to_fixed(POINTS, make_registration())).max() < 1e-6


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_itk_leads_points_of_this_study_to_the_prior_by_field_and_matrix(tmp_path, degrees):
    field = make_field(degrees)
    rigid, bent = encode(CORPUS["plain"](), make_prior(), field=field)
    _, ds = read(bent, tmp_path)
    assert (rigid.SOPClassUID, ds.SOPClassUID) == (RIGID, DEFORMABLE)
    item = ds.DeformableRegistrationSequence[0]
    assert item.SourceFrameOfReferenceUID == OTHER["FrameOfReferenceUID"]
    assert "PreDeformationMatrixRegistrationSequence" not in item
    (grid,) = item.DeformableRegistrationGridSequence
    columns, rows, planes = grid.GridDimensions
    image = sitk.GetImageFromArray(np.frombuffer(grid.VectorGridData, "<f4").reshape(planes, rows, columns, 3))
    image.SetOrigin([float(v) for v in grid.ImagePositionPatient])
    image.SetSpacing(list(grid.GridResolution))
    x, y = np.array(grid.ImageOrientationPatient, float).reshape(2, 3)
    image.SetDirection(np.stack([x, y, np.cross(x, y)], axis=1).ravel().tolist())
    bend = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    post = np.array(
        item.PostDeformationMatrixRegistrationSequence[0].FrameOfReferenceTransformationMatrix, float
    ).reshape(4, 4)
    points = POINTS @ Rotation.from_euler("z", degrees, degrees=True).as_matrix().T
    nodes = field.affine[:3, 3]
    points = points - (Rotation.from_euler("z", degrees, degrees=True).apply(nodes) - nodes)
    bent_points = np.array([bend.TransformPoint(point) for point in points.tolist()])
    assert np.abs(bent_points - points).max() > 0.3
    led = bent_points @ post[:3, :3].T + post[:3, 3]
    expected = to_moving(points, make_registration(field))
    assert np.abs(led - expected).max() < 1e-3


@pytest.mark.judge
def test_dciodvfy_finds_no_error_whatever_the_images_are(stack, tmp_path):
    for ds in encode(stack, make_prior(), field=make_field()):
        path, _ = read(ds, tmp_path)
        assert dciodvfy_errors(path) == []


@pytest.mark.judge
def test_dciodvfy_is_no_judge_that_lets_everything_pass(tmp_path):
    ds, _ = encode(CORPUS["plain"](), make_prior(), field=make_field())
    del ds.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence
    path, _ = read(ds, tmp_path)
    assert any("MatrixSequence" in error for error in dciodvfy_errors(path))


def test_the_gate_lets_them_pass_whatever_the_images_are(stack, tmp_path):
    prior = make_prior()
    made = [read(ds, tmp_path)[1] for ds in encode(stack, prior, field=make_field())]
    check_objects(made, stack.headers, prior_headers=prior.headers)


def test_every_image_of_both_studies_is_listed_under_its_own_series_and_study():
    stack, prior = CORPUS["plain"](), make_prior()
    for ds in encode(stack, prior, field=make_field()):
        (series,) = ds.ReferencedSeriesSequence
        (other,) = ds.StudiesContainingOtherReferencedInstancesSequence
        (earlier,) = other.ReferencedSeriesSequence
        assert (series.SeriesInstanceUID, other.StudyInstanceUID) == (stack.series_uid, prior.study_uid)
        for listed, headers in ((series, stack.headers), (earlier, prior.headers)):
            uids = [item.ReferencedSOPInstanceUID for item in listed.ReferencedInstanceSequence]
            assert uids == [header.SOPInstanceUID for header in headers]


def test_a_prior_series_of_the_same_study_is_listed_in_it(tmp_path):
    stack, prior = CORPUS["plain"](), make_prior(StudyInstanceUID="1.2.3.1")
    (ds,) = encode(stack, prior)
    assert "StudiesContainingOtherReferencedInstancesSequence" not in ds
    assert len(ds.ReferencedSeriesSequence) == 2
    check_objects([read(ds, tmp_path)[1]], stack.headers, prior_headers=prior.headers)


def test_two_studies_that_claim_one_frame_of_reference_get_no_registration():
    prior = make_prior(FrameOfReferenceUID="1.2.3.3")
    result = Result(
        (), make_empty_result().findings, registrations=(Registration("prior", "1.2.3.3", "earlier", np.eye(4)),)
    )
    with pytest.raises(EncodingError, match="claims the frame of reference"):
        encode_registrations(CORPUS["plain"](), [prior], result, make_author())


def test_a_registration_of_images_that_were_not_read_is_refused():
    with pytest.raises(EncodingError, match="were not read"):
        encode(CORPUS["plain"]())


def test_the_same_registration_makes_the_same_bytes(tmp_path):
    stack, prior = CORPUS["plain"](), make_prior()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for ds in encode(stack, prior, field=make_field()):
            read(ds, tmp_path / folder)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("one", "two"))
    assert len(first) == 2
    assert first == second


def test_no_other_object_may_name_an_image_of_the_prior(tmp_path):
    stack, prior = CORPUS["plain"](), make_prior()
    made = [read(ds, tmp_path)[1] for ds in encode(stack, prior)]
    made[0].SOPClassUID, made[0].Modality = "1.2.840.10008.5.1.4.1.1.30", "CT"
    with pytest.raises(EncodingError):
        check_objects(made, stack.headers, prior_headers=prior.headers)


def test_a_prior_of_another_patient_stops_everything():
    stack, prior = CORPUS["plain"](), make_prior(PatientID="P-2")
    with pytest.raises(EncodingError, match="PatientID"):
        check_objects(encode(stack, prior), stack.headers, prior_headers=prior.headers)
