import numpy as np

from tests.series import make_series, write_series
from workers.training_data import convert, main


def test_a_chest_becomes_voxels_in_hu_with_their_place(tmp_path):
    slices = make_series((30, 12, 14), (3.0, 0.8, 0.7))
    write_series(slices, tmp_path / "in" / "patient_one" / "deep")
    (path,) = convert(tmp_path / "in", tmp_path / "out")
    assert path.name == "patient_one-1.npz"
    with np.load(path) as data:
        assert data["voxels"].dtype == np.int16
        assert (data["voxels"] == np.stack([ds.pixel_array - 1024 for ds in slices])).all()
        assert np.allclose(data["affine"] @ (29, 0, 0, 1), (-10, -20, 30 + 29 * 3.0, 1))
        assert str(data["patient"]) == "patient_one"


def test_two_series_of_one_patient_stay_together(tmp_path):
    for number in (1, 2):
        slices = make_series((30, 12, 14), (3.0, 0.8, 0.7), SeriesNumber=number, SeriesInstanceUID=f"1.2.{number}")
        write_series(slices, tmp_path / "in" / "one" / str(number))
    paths = convert(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in paths] == ["one-1.npz", "one-2.npz"]
    assert {str(np.load(path)["patient"]) for path in paths} == {"one"}


def test_short_stacks_and_other_modalities_are_passed_over(tmp_path, capsys):
    write_series(make_series((5, 12, 14)), tmp_path / "in" / "short")
    write_series(make_series((30, 12, 14), (3.0, 0.8, 0.7), modality="MR"), tmp_path / "in" / "head")
    try:
        main(["lung-seg", str(tmp_path / "in"), str(tmp_path / "out")])
    except SystemExit as stop:
        assert "no axial CT stack" in str(stop)
    else:
        raise AssertionError("a folder without chests must not look like success")
    assert not list((tmp_path / "out").glob("*.npz"))
