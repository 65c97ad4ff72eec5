"""What lung-nodule and nodule-malignancy say, as DICOM; and which images they refuse, by name."""

import numpy as np
import pytest

from node.dicom.find_stack import find_stack
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.errors import MissingSlices, NoMatchingSeries, WrongBodyPart, WrongSampling
from node.model.delivery import Kind
from node.outbound.outbox import KINDS
from node.sections import Peer
from pipelines.catalog import get_pipeline
from pipelines.lung_nodule.findings import Nodule, make_result
from pipelines.nodule_malignancy.findings import Rated
from pipelines.nodule_malignancy.findings import make_result as make_rating
from pipelines.steps.axes import with_axes
from pipelines.steps.grow import grow
from pipelines.terms import get_manifest
from tests.judges import dciodvfy_errors
from tests.pipelines.lumps import SPACING, make_lung
from tests.results import make_author
from tests.series import make_series, write_series
from workers.objects import Answer, encode_objects

BALLS = [((20, 40, 30), 5.0, 30.0), ((12, 46, 50), 5.0, -600.0)]


def write_chest(folder, spacing=SPACING, voxels=None, **changes):
    voxels = make_lung(BALLS)[0].voxels if voxels is None else voxels
    return write_series(make_series(voxels=(voxels + 1024).astype(np.int16), spacing=spacing, **changes), folder)


@pytest.fixture
def stack(tmp_path):
    (stack,), _ = read_stacks(write_chest(tmp_path / "in"))
    return stack


def find(volume):
    nodules = [
        Nodule(grow(volume.voxels, volume.spacing, ball[0]), confidence, side)
        for ball, confidence, side in zip(BALLS, (0.9, 0.6), ("right-lung", "left-lung"), strict=True)
    ]
    return make_result(volume, nodules, [], {})


def rate(volume):
    return make_rating([Rated(segment, 10.0, 0.4, 0.5) for segment in find(volume).segments], [], {})


@pytest.mark.judge
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("lung-nodule", find),
        ("lung-nodule", lambda volume: make_result(volume, [], [], {})),
        ("nodule-malignancy", rate),
        ("nodule-malignancy", lambda volume: make_rating([], [], {})),
    ],
)
def test_dciodvfy_finds_no_error_in_any_object(name, make, stack, tmp_path):
    volume = load_volume(stack)
    result = with_axes(make(volume), volume.spacing)
    author = make_author(name=name, **_choose(get_manifest(name)))
    peer = Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", "objects": [Kind.SEGMENTATION, Kind.REPORT]})
    made = encode_objects(Answer(stack, volume, result, author, (), ()), {"pacs": peer})
    kinds = {KINDS[str(dataset.SOPClassUID)] for dataset in made.datasets}
    assert kinds == ({Kind.SEGMENTATION, Kind.REPORT} if result.segments else {Kind.REPORT})
    for number, dataset in enumerate(made.datasets):
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        assert dciodvfy_errors(path) == []


def _choose(manifest):
    return {key: getattr(manifest, key) for key in ("version", "title", "requires", "gives", "procedure")}


def test_the_report_has_a_group_for_each_nodule_with_axes_volume_density_and_confidence(stack):
    volume = load_volume(stack)
    result = with_axes(find(volume), volume.spacing)
    peer = Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", "objects": [Kind.REPORT]})
    made = encode_objects(Answer(stack, volume, result, make_author(), (), ()), {"pacs": peer})
    (report,) = made.datasets
    said = [
        (item.ConceptNameCodeSequence[0].CodeValue, item) for item in _walk(report) if "ConceptNameCodeSequence" in item
    ]
    for code in ("118565006", "NOD-CONF", "103339001", "103340004"):
        assert sum(name == code for name, _ in said) == 2
    types = [item.ConceptCodeSequence[0].CodeValue for name, item in said if name == "NOD-DENS"]
    assert types == ["RID50151", "RID50153"]
    assert any("not for diagnosis" in item.get("TextValue", "") for _, item in said)


def test_explained_nodules_become_a_map_and_a_deviation_beside_each_confidence(stack):
    volume = load_volume(stack)
    model = get_pipeline("lung-nodule").load("cpu")
    steady, drawn = (
        model.explain(volume, find(volume), way, lambda *_: None) for way in get_manifest("lung-nodule").explains
    )
    peer = Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", "objects": [Kind.REPORT, Kind.MAP]})
    report, scalars = (
        next(
            one
            for one in encode_objects(Answer(stack, volume, result, make_author(), (), ()), {"pacs": peer}).datasets
            if KINDS[str(one.SOPClassUID)] is kind
        )
        for result, kind in ((steady, Kind.REPORT), (drawn, Kind.MAP))
    )
    sequences = ("ConceptNameCodeSequence", "ConceptCodeSequence")
    codes = [item[name][0].CodeValue for item in _walk(report) for name in sequences if name in item]
    assert (codes.count("NOD-CONF"), codes.count("386136009"), codes.count("TTA")) == (4, 2, 2)
    assert scalars.NumberOfFrames == volume.shape[0]


def _walk(dataset):
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _walk(item)


@pytest.mark.parametrize("name", ["lung-nodule", "nodule-malignancy"])
@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda folder: write_chest(folder, spacing=(5.0, 1.2, 1.2)), WrongSampling, "5 mm apart, not 0 to 3 mm"),
        (lambda folder: write_chest(folder, spacing=(2.0, 1.5, 1.5)), WrongSampling, "pixels are 1.50 mm"),
        (lambda folder: write_chest(folder, BodyPartExamined="KNEE"), WrongBodyPart, "KNEE"),
        (lambda folder: write_chest(folder, modality="MR"), NoMatchingSeries, "MR"),
        (lambda folder: _drop(write_chest(folder), 20), MissingSlices, "missing"),
    ],
)
def test_images_that_it_was_not_measured_for_are_refused_by_name(name, make, error, said, tmp_path):
    with pytest.raises(error, match=said):
        find_stack(make(tmp_path), get_manifest(name))


def _drop(paths, number):
    paths[number].unlink()
    return [path for path in paths if path.exists()]
