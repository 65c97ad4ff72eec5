"""Nodules that are as dense as contrast or calcium are named as such."""

import numpy as np
import pytest

from pipelines.lung_nodule.findings import Nodule, make_result
from pipelines.steps.dense import note_dense
from pipelines.steps.grow import Grown
from pipelines.terms import Volume


@pytest.mark.parametrize(
    ("means", "begins"),
    [
        ({"Nodule 1": 119.0}, []),
        ({"Nodule 1": 30.0, "Nodule 2": 240.0}, ["Nodule 2 is denser than 120 HU"]),
        ({"Nodule 1": 200.0, "Nodule 2": 240.0, "Nodule 3": 121.0}, ["Nodule 1, Nodule 2 and Nodule 3 are denser"]),
    ],
)
def test_what_is_too_dense_is_named(means, begins):
    assert [note.text[: len(begin)] for note, begin in zip(note_dense(means), begins, strict=True)] == begins


def test_a_report_of_nodules_says_which_of_them_are_too_dense():
    voxels = np.full((6, 20, 20), -850.0, np.float32)
    voxels[:, 4:8, 4:8], voxels[:, 12:16, 12:16] = 30.0, 300.0
    volume = Volume(voxels, np.eye(4)[[2, 1, 0, 3]], "1.2.3", "CT")
    nodules = []
    for first in (4, 12):
        box = (slice(0, 6), slice(first, first + 4), slice(first, first + 4))
        grown = Grown(box, np.ones((6, 4, 4), bool), (2.5, first + 1.5, first + 1.5), 4.5)
        nodules.append(Nodule(grown, 0.9, "right-lung"))
    result = make_result(volume, nodules, (), {})
    assert [note.text.split(" is denser")[0] for note in result.notes if "denser" in note.text] == ["Nodule 2"]
    assert len({segment.color for segment in result.segments}) == 2
