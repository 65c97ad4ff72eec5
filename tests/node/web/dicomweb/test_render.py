"""Pictures that would take the memory of the node are refused before they are made."""

import io

import numpy as np
import pytest
from PIL import Image

from node.dicom.write import write_dicom
from node.web.dicomweb import render
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.render import PNG, View, read_view, render_all
from tests.series import make_slice


@pytest.fixture
def movie(tmp_path):
    """The path of five frames of 6 rows and 7 columns, each brighter."""
    ds = make_slice(np.zeros((6, 7), np.int16), (0, 0, 0), modality="MR", WindowCenter=100.0, WindowWidth=200.0)
    ds.NumberOfFrames = 5
    ds.PixelData = np.repeat(np.arange(5, dtype=np.int16) * 40, 42).tobytes()
    path = tmp_path / "movie.dcm"
    write_dicom(ds, path)
    return path


@pytest.mark.parametrize("said", ["4097,10", "10,4097", "16384,16384", "10,10,0,0,65536,1", "10,10,70000,0,1,1"])
def test_a_viewport_beyond_any_screen_is_refused(said):
    with pytest.raises(Problem) as caught:
        read_view({"viewport": said})
    assert caught.value.status == 400


def test_the_largest_viewport_is_taken(movie):
    assert read_view({"viewport": "4096,4096"}).size == (4096, 4096)
    shown = Image.open(io.BytesIO(render.render(movie, 1, View(size=(300, 300)), PNG)))
    assert max(shown.size) == 300


def test_a_region_larger_than_the_image_is_refused(movie):
    with pytest.raises(Problem, match="larger than the image") as caught:
        render.render(movie, 1, read_view({"viewport": "10,10,0,0,65535,65535"}), PNG)
    assert caught.value.status == 400
    Image.open(io.BytesIO(render.render(movie, 1, read_view({"viewport": "10,10,1,1,8,8"}), PNG)))


def test_the_pictures_of_a_gif_have_a_limit_together(movie, monkeypatch):
    moving = Image.open(io.BytesIO(render_all(movie, View(), 100)))
    assert (moving.n_frames, moving.size) == (5, (7, 6))
    monkeypatch.setattr(render, "MOST_PIXELS", 5 * 6 * 7)
    assert Image.open(io.BytesIO(render_all(movie, View(), 100))).n_frames == 5
    drawn = []
    draw = render.draw
    monkeypatch.setattr(render, "draw", lambda path, number, view: drawn.append(number) or draw(path, number, view))
    with pytest.raises(Problem, match="smaller viewport") as caught:
        render_all(movie, View(size=(8, 8)), 100)
    assert caught.value.status == 400
    assert drawn == [1]
    assert Image.open(io.BytesIO(render_all(movie, View(size=(8, 8)), 3))).n_frames == 3


def test_all_of_a_real_movie_is_within_the_limit_and_the_largest_viewport_is_not():
    assert 100 * 1024 * 1024 <= render.MOST_PIXELS < 100 * render.LARGEST**2
