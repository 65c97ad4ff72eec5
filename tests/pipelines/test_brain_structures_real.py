"""Brain structures with the published weights on a real head: minutes on a CPU.

The weights lie in the folder that WETREAD_WEIGHTS names, installed or as they were published, or in `models` beside the
folder of real studies.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from pipelines.brain_structures import chain
from pipelines.brain_structures.findings import LIMITS
from pipelines.brain_structures.pipeline import make_model, pipeline
from pipelines.brain_structures.weights import NAME, VARIABLE
from pipelines.terms import Volume
from pipelines.weights import load_weights

PUBLISHED = Path("brainchop_meshnet", "model18cls", "model.pth")

REFERENCE_ML = {
    "cerebral-white-matter": 480.4,
    "cerebral-cortex": 511.2,
    "lateral-ventricle": 30.7,
    "inferior-horn": 2.47,
    "cerebellar-white-matter": 29.0,
    "cerebellar-cortex": 126.5,
    "thalamus": 16.8,
    "caudate-nucleus": 6.89,
    "putamen": 11.3,
    "globus-pallidus": 3.76,
    "third-ventricle": 1.91,
    "fourth-ventricle": 1.68,
    "brain-stem": 24.1,
    "hippocampus": 8.73,
    "amygdala": 3.67,
    "nucleus-accumbens": 0.88,
    "ventral-diencephalon": 7.89,
}
"""mL, both sides, of the same weights on VS-SEG-001 conformed by nibabel and computed in one go by plain torch."""


def quiet(share, activity):
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def model(real_data):
    folders = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
    folders.append(real_data.parent / "models")
    for path in (folder / name for folder in folders for name in (NAME, PUBLISHED)):
        if path.is_file():
            return make_model(load_weights(path, pipeline.manifest.weights_sha256), "cpu")
    return pytest.skip(f"{VARIABLE} names no folder with the weights of brainchop's 18-class network")


@pytest.fixture(scope="module")
def head(real_data):
    (stack,), _ = read_stacks(sorted((real_data / "mr_brain_VS-SEG-001").glob("*.dcm")))
    return load_volume(stack)


@pytest.fixture(scope="module")
def seen():
    """What the network saw first and what it said, for whoever shows it the same again: it takes a minute."""
    seen, classify = {}, chain.classify

    def remember(head, network, progress):
        image = head.image.cpu().numpy()
        if not seen:
            seen["image"], seen["classes"] = image, classify(head, network, progress)
        assert np.abs(image - seen["image"]).max() < 1e-4
        return seen["classes"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "classify", remember)
        yield seen


@pytest.fixture(scope="module")
def answer(model, head, seen):
    return model.run(head, quiet)


def volumes_of(result):
    return {finding.key: finding.measurements[0].value for finding in result.findings}


def test_a_patients_structures_have_the_volumes_of_an_independent_computation(answer):
    found = volumes_of(answer)
    for key, expected in REFERENCE_ML.items():
        both = sum(found.get(name, 0.0) for name in (key, f"right-{key}", f"left-{key}"))
        assert both == pytest.approx(expected, rel=0.1 if expected < 5 else 0.04), key
    assert answer.notes == (LIMITS,)


def test_a_patients_two_sides_are_alike_and_where_they_belong(answer, head):
    found, places = volumes_of(answer), {}
    for segment in answer.segments:
        if segment.key.endswith(("hippocampus", "putamen", "thalamus")):
            middle = np.argwhere(segment.mask).mean(axis=0)
            places[segment.key] = float((head.affine @ [*middle, 1.0])[0])
    for name in ("hippocampus", "putamen", "thalamus"):
        assert found[f"left-{name}"] == pytest.approx(found[f"right-{name}"], rel=0.25)
        assert places[f"left-{name}"] - places[f"right-{name}"] > 15


def test_a_sagittal_left_handed_copy_of_the_patient_has_the_same_volumes(answer, head, model):
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, 1] * (head.shape[1] - 1)
    affine[:3, 1] *= -1
    voxels = np.ascontiguousarray(head.voxels[:, ::-1].transpose(2, 0, 1))
    turned = Volume(voxels, affine[:, [2, 0, 1, 3]], "1.2.3", "MR")
    assert np.linalg.det(turned.affine[:3, :3]) * np.linalg.det(head.affine[:3, :3]) < 0
    assert turned.spacing[0] < 0.5  # planes run from side to side
    again = volumes_of(model.run(turned, quiet))
    assert again == pytest.approx(volumes_of(answer), rel=0.01)
